"""A run as it stands in the cache: one record, and the output in numbered chunks.

The background process is the only writer. It stores a chunk before the record that counts it, so a
reader who goes by the record finds every chunk it promises, without a lock. Chunks are never changed:
the cost of a run grows with its output, not with its square as it would if one value were rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from django.conf import settings
from django.core.cache import cache

LOST = "\n[a part of the output is no longer in the cache]\n"


class Run(TypedDict):
    command: str
    state: str  # "starting", "running" or "finished"
    chunks: int
    exit_code: int | None


def new(command: str) -> Run:
    return Run(command=command, state="starting", chunks=0, exit_code=None)


def save(run_id: str, run: Run) -> None:
    cache.set(f"run:{run_id}", run, settings.RUNNER_KEEP_SECONDS)


def load(run_id: str) -> Run | None:
    return cache.get(f"run:{run_id}")


def append(run_id: str, run: Run, text: str) -> None:
    cache.set(chunk_key(run_id, run["chunks"]), text, settings.RUNNER_KEEP_SECONDS)
    run["chunks"] += 1
    save(run_id, run)


def read(run_id: str, first: int, end: int) -> Iterator[str]:
    """The text of the chunks from `first` up to, and without, `end`. A cache may forget: see LOST."""
    keys = [chunk_key(run_id, number) for number in range(first, end)]
    found = cache.get_many(keys)
    return (found.get(key, LOST) for key in keys)


def chunk_key(run_id: str, number: int) -> str:
    return f"run:{run_id}:chunk:{number}"
