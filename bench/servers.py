"""The servers that are compared: started on a free loopback port, and asked what they cost."""

from __future__ import annotations

import argparse
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable

BUILD = pathlib.Path(__file__).resolve().parent.parent / "build" / "release"
BINARIES = {"quartet": str(BUILD / "quartet"), "redis-server": "redis-server"}
OTHER_BINARIES = {"floor": str(BUILD / "quartet_floor"), "memcached": "memcached"}
MEMCACHED_MEGABYTES = 4096  # enough that it evicts nothing

# A script that is terminated ends its servers, as one that is interrupted does.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quartet", default=BINARIES["quartet"], metavar="FILE", help="the server's executable")
    parser.add_argument("--redis", default=BINARIES["redis-server"], metavar="FILE")


def binaries(options: argparse.Namespace) -> dict[str, str]:
    """The two that are always compared."""
    return {"quartet": options.quartet, "redis-server": options.redis}


def cores() -> tuple[int, int]:
    """One core for the server, and another for the load."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise SystemExit("two cores are needed: one for the server, one for the load")
    return usable[0], usable[1]


def place(core: int | None, ahead: bool) -> None:
    """Pins the calling process to a core. `ahead`: what else runs there waits for it, even its own later threads."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    if ahead:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(10))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """One server without persistence, for the length of a `with` block."""

    def __init__(self, name: str, binary: str, core: int | None = None, *arguments: object,
                 load_port: int | None = None, ahead: bool = False):
        self.name = name
        self.port = free_port()
        self.load_port = load_port or self.port  # where the load goes
        self._directory = tempfile.TemporaryDirectory(prefix="quartet-bench-")
        self._command = [binary, *self._options(), *map(str, arguments)]
        self._place = lambda: place(core, ahead)
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, preexec_fn=self._place)

    def _options(self) -> list[str]:
        if self.name == "floor":
            return [str(self.port)]
        if self.name == "memcached":
            # Started by root, it wants to be told whose rights to take.
            return ["-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-t", "1", "-m", str(MEMCACHED_MEGABYTES),
                    "-u", pwd.getpwuid(os.getuid()).pw_name]
        return ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._directory.name,
                "--save", "", "--appendonly", "no"]

    def __enter__(self) -> Server:
        try:
            self._connect()
        except SystemExit:
            self.__exit__()
            raise
        return self

    def _connect(self) -> None:
        began = time.monotonic()
        while True:
            try:
                self.client = Client(self.port)
                self.start_seconds = time.monotonic() - began  # until it accepted a connection
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > began + 10:
                    raise SystemExit(f"{self.name} does not accept connections")
                time.sleep(0.005)

    def restart(self) -> None:
        """Ends the process as an operator would, and starts it again on what it left."""
        self._process.terminate()
        self._process.wait(60)
        self._start()
        self._connect()

    def move_other_threads(self, core: int) -> None:
        """Moves all threads but the first to another core."""
        for thread in pathlib.Path(f"/proc/{self._process.pid}/task").iterdir():
            if int(thread.name) != self._process.pid:
                os.sched_setaffinity(int(thread.name), {core})

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._directory.cleanup()

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_us(self) -> float:
        """CPU time of all threads, user and system, in microseconds."""
        total = 0
        for thread in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
        return total / 1000

    def settle(self) -> None:
        """Waits until what the server does in the background is done: until it hardly uses the CPU."""
        for _ in range(100):
            before = self.cpu_us()
            time.sleep(0.1)
            if self.cpu_us() - before < 2000:
                return

    @property
    def directory(self) -> str:
        return self._directory.name

    def peak_rss_bytes(self) -> int:
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def rss_bytes(self) -> int:
        pages = int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def quartet_memcached(binary: str, core: int | None = None) -> Server:
    """Quartet, to which the load speaks memcached's protocol."""
    port = free_port()
    return Server("quartet-memcached", binary, core, "--db.0.memcached-port", port,
                  "--db.0.memcached-bind", "127.0.0.1", load_port=port)


class Client:
    """Just enough of a client to prepare data: it sends many commands and asserts that no answer is an error."""

    def __init__(self, port: int):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._replies = self._socket.makefile("rb")

    def send(self, commands: Iterable[tuple[bytes, ...]]) -> None:
        """Only commands whose replies are one line (a status or an integer) will do."""
        waiting = []
        for command in commands:
            waiting.append(command)
            if len(waiting) == 1000:
                self._exchange(waiting)
                waiting.clear()
        self._exchange(waiting)

    def integer(self, *command: bytes) -> int:
        return int(self._exchange([command])[1:])

    def bulk(self, *command: bytes) -> bytes:
        """A reply that is a bulk string."""
        self._socket.sendall(self._request(command))
        return self._replies.read(int(self._replies.readline()[1:]) + 2)[:-2]

    @staticmethod
    def _request(command: tuple[bytes, ...]) -> bytes:
        return b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%b\r\n" % (len(a), a) for a in command)

    def _exchange(self, commands: list[tuple[bytes, ...]]) -> bytes:
        """The last of the replies."""
        self._socket.sendall(b"".join(self._request(command) for command in commands))
        reply = b""
        for _ in commands:
            reply = self._replies.readline()
            if reply[:1] not in (b"+", b":"):
                raise SystemExit(f"unexpected reply while preparing data: {reply!r}")
        return reply
