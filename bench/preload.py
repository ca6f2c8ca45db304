"""Libraries of the build that are loaded into a server to measure it, or to make its disk slow."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import tempfile
import time
from collections.abc import Iterator

import servers
from servers import Server


@contextlib.contextmanager
def preloaded(library: str, **variables: str) -> Iterator[None]:
    """What is started meanwhile loads the library before all others, and finds the variables in its environment."""
    before = os.environ.get("LD_PRELOAD")
    os.environ.update(LD_PRELOAD=library, **variables)
    try:
        yield
    finally:
        for name in ("LD_PRELOAD", *variables):
            del os.environ[name]
        if before is not None:
            os.environ["LD_PRELOAD"] = before


class Turns:
    """How long the turns of a server's loop are, in its own CPU time: what it does itself to those who wait for it,
    whatever else runs on the machine. For the length of a `with` block."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="quartet-bench-")
        self._file = pathlib.Path(self._directory.name) / "turns"

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.cleanup()

    def told(self) -> contextlib.AbstractContextManager[None]:
        """Servers that are started meanwhile tell of them."""
        return preloaded(str(servers.BUILD / "quartet_turns.so"), TURNS_FILE=str(self._file))

    def since_last(self, server: Server) -> dict[str, float]:
        """Of the turns since the last call: `turns`, how many, and `p99.9` and `longest`, in microseconds."""
        self._file.unlink(missing_ok=True)
        os.kill(server.pid, signal.SIGUSR2)
        deadline = time.monotonic() + 10
        while not self._file.exists() or not self._file.read_text().endswith("\n"):
            if time.monotonic() > deadline:
                raise SystemExit(f"{server.name} does not tell of its turns")
            time.sleep(0.01)
        return {name: float(value) for name, value in (field.split("=") for field in self._file.read_text().split())}
