"""A program that runs beside a test: a Celery worker, a web server, Flower."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import tempfile
from typing import Callable, Mapping, Sequence

from support.wait import Value, wait_for


class Background:
    """One program in a process group of its own, so that its children end with it. Its output goes to a file."""

    def __init__(self, command: Sequence[str], cwd: str | os.PathLike | None = None,
                 env: Mapping[str, str] | None = None):
        self.command = command
        self.output = tempfile.NamedTemporaryFile(prefix="quartet-test-", suffix=".log")
        self.process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **(env or {})},
                                        stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
                                        start_new_session=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    def read(self) -> str:
        return pathlib.Path(self.output.name).read_text(errors="replace")

    def alive(self) -> bool:
        return self.process.poll() is None

    def wait_until(self, ready: Callable[[], Value], what: str, timeout: float = 30) -> Value:
        """As `wait_for`, but fails at once when the program ends, and in either case with its output."""
        def probe() -> Value:
            if not self.alive():
                raise AssertionError(f"{self.command} ended before {what}")
            return ready()

        try:
            return wait_for(probe, what, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.read()}") from None

    def kill(self) -> None:
        """SIGKILL to the whole group: the program gets no chance to say goodbye to the server."""
        self._signal_group(signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout: float = 15) -> None:
        """SIGTERM to the program, and SIGKILL to whatever is left of its group afterwards."""
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def _signal_group(self, signum: int) -> None:
        try:
            os.killpg(self.process.pid, signum)
        except ProcessLookupError:
            pass

    def __enter__(self) -> "Background":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.output.close()
