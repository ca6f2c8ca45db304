"""A program at a terminal: what a person at the keyboard types and sees."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from typing import Sequence

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Runs `command` on a pseudo terminal of 200 columns. `screen` is everything it has shown, without escapes."""

    def __init__(self, command: Sequence[str], env: dict[str, str] | None = None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        env={**os.environ, "TERM": "xterm", **(env or {})})
        os.close(slave)
        self.screen = ""
        self.seen = 0  # how much of the screen an earlier `expect` has passed

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, pattern: str, timeout: float = 20) -> re.Match:
        """Waits until what came after the last expectation matches `pattern`."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.screen[self.seen:])):
            readable, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            if not readable:
                raise AssertionError(f"{pattern!r} did not appear after {self.screen[self.seen:]!r}")
            try:
                data = os.read(self.master, 65536)
            except OSError:  # Linux says EIO when the program has closed its terminal.
                raise AssertionError(f"the program ended before {pattern!r}: {self.screen[self.seen:]!r}") from None
            self.screen = ESCAPES.sub("", self.screen + data.decode(errors="replace"))
        self.seen += match.end()
        return match

    def close(self) -> None:
        self.process.terminate()
        os.close(self.master)
        self.process.wait(10)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
