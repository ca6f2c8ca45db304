"""Starts a server for a test and ends it again.

The server under test is `$QUARTET_SERVER` (default `build/release/quartet`). Pointing it at
`redis-server` runs the same tests against the reference, because both take `--name value` options.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A TCP port on the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def server_binary() -> str:
    return os.environ.get("QUARTET_SERVER", str(ROOT / "build" / "release" / "quartet"))


class Server:
    """One server process on a loopback port, with a temporary directory as its `dir`.

    `settings` is the text of a configuration file.
    """

    def __init__(self, *options: str, port: int | None = None, binary: str | None = None, settings: str = ""):
        self.binary = binary or server_binary()
        self.port = port or free_port()
        self.options = options
        self.directory = tempfile.mkdtemp(prefix="quartet-test-")
        self.process: subprocess.Popen | None = None
        self.file = os.path.join(self.directory, "settings.toml") if settings else None
        if self.file:
            pathlib.Path(self.file).write_text(settings)

    def _spawn(self) -> None:
        self.log = open(os.path.join(self.directory, "log"), "ab")
        command = [self.binary, *([self.file] if self.file else []), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.directory,
                   "--save", "", "--appendonly", "no", *self.options]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def start_and_fail(self) -> None:
        """Starts a server that has to end by itself, in error."""
        self._spawn()
        try:
            assert self.process.wait(20) not in (0, None), self.read_log()
        finally:
            self.stop()

    def start(self) -> "Server":
        self._spawn()
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(1) in (b"+", b"-"):
                        return self
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.binary} did not start:\n{self.read_log()}")
            time.sleep(0.02)

    def read_log(self) -> str:
        return pathlib.Path(self.directory, "log").read_text(errors="replace")

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """Ends the process (SIGKILL after ten seconds) and keeps the directory, for a restart."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signum)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.remove()


def redis(*options: str) -> Server:
    """The reference: a redis-server, not started yet."""
    return Server(*options, binary=shutil.which("redis-server") or "/usr/bin/redis-server")
