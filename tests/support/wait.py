"""Waiting for something to become true, with a deadline instead of a sleep."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

Value = TypeVar("Value")


def wait_for(probe: Callable[[], Value], what: str, timeout: float = 30, interval: float = 0.05) -> Value:
    """The first true value that `probe` returns. Fails, naming `what`, after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s (last seen: {value!r})")
        time.sleep(interval)
