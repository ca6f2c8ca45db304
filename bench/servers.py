"""The servers that are compared: started on a free loopback port, and asked what they cost."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = {"quartet": str(ROOT / "build" / "release" / "quartet"), "redis-server": "redis-server"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """One server without persistence, for the length of a `with` block."""

    def __init__(self, name: str, binary: str, cores: set[int] | None = None):
        self.name = name
        self.port = free_port()
        self._directory = tempfile.TemporaryDirectory(prefix="quartet-bench-")
        command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._directory.name,
                   "--save", "", "--appendonly", "no"]
        pin = (lambda: os.sched_setaffinity(0, cores)) if cores else None
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=pin)

    def __enter__(self) -> Server:
        deadline = time.monotonic() + 10
        while True:
            try:
                self.client = Client(self.port)
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise SystemExit(f"{self.name} does not accept connections")
                time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._directory.cleanup()

    def cpu_us(self) -> float:
        """CPU time of all threads, user and system, in microseconds."""
        total = 0
        for thread in pathlib.Path(f"/proc/{self._process.pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
        return total / 1000

    def settle(self) -> None:
        """Waits until what the server does in the background is done: until it hardly uses the CPU."""
        for _ in range(100):
            before = self.cpu_us()
            time.sleep(0.1)
            if self.cpu_us() - before < 2000:
                return

    def rss_bytes(self) -> int:
        pages = int(pathlib.Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


class Client:
    """Just enough of a client to prepare data: it sends many commands and asserts that none is answered with an error."""

    def __init__(self, port: int):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._replies = self._socket.makefile("rb")

    def send(self, commands: Iterable[tuple[bytes, ...]]) -> None:
        """Only commands whose replies are one line (a status or an integer) will do."""
        waiting = []
        for command in commands:
            waiting.append(b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%b\r\n" % (len(a), a) for a in command))
            if len(waiting) == 1000:
                self._exchange(waiting)
        self._exchange(waiting)

    def _exchange(self, waiting: list[bytes]) -> None:
        self._socket.sendall(b"".join(waiting))
        for _ in waiting:
            reply = self._replies.readline()
            if reply[:1] not in (b"+", b":"):
                raise SystemExit(f"unexpected reply while preparing data: {reply!r}")
        waiting.clear()
