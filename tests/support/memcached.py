"""memcached's protocol in tests: the reference server, Quartet with a listener for it, and a client that is nothing but a socket."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time

from support.server import Server, free_port

SYNC, SYNCED = b"mn\r\n", b"MN\r\n"


class Memcached:
    """The reference: Debian's memcached on a loopback port."""

    def __init__(self, *options: str):
        self.port = free_port()
        self.options = options

    def __enter__(self) -> Memcached:
        binary = shutil.which("memcached") or "/usr/bin/memcached"
        # Started by root, it wants to be told whose rights to take.
        user = pwd.getpwuid(os.getuid()).pw_name
        self.process = subprocess.Popen([binary, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-u", user, *self.options])
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)


class CacheServer(Server):
    """Quartet, whose database 1, `cache`, is served to clients of memcached's protocol too, at `memcached_port`."""

    def __init__(self, *options: str, **others: object):
        self.memcached_port = free_port()
        super().__init__("--db.1.memcached-port", str(self.memcached_port), "--db.1.memcached-bind", "127.0.0.1", *options, **others)


class TextClient:
    """Every wait of its is bounded by `timeout` seconds, after which it raises TimeoutError."""

    def __init__(self, port: int = 0, *, path: str = "", family: int = socket.AF_INET, timeout: float = 30):
        self.socket = socket.socket(socket.AF_UNIX if path else family)
        self.socket.settimeout(timeout)
        self.socket.connect(path or ("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        if not path:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, request: bytes) -> bytes:
        """Everything that is replied to the request, which may be several. Where the connection is closed, what came before."""
        try:
            self.send(request + SYNC)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self.read_until(SYNCED)

    def read_until(self, end: bytes) -> bytes:
        """What comes before `end`, or before the connection is closed."""
        reply = bytearray()
        while not reply.endswith(end):
            try:
                piece = self.socket.recv(1 << 20)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return bytes(reply) + b"<closed>"
            reply += piece
        return bytes(reply[:-len(end)])

    def read(self, size: int) -> bytes:
        """Exactly so many bytes, or fewer where the connection is closed before."""
        data = bytearray()
        while len(data) < size and (piece := self.socket.recv(size - len(data))):
            data += piece
        return bytes(data)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> TextClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
