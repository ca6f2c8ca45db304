"""A client that is nothing but a socket: it decides when what is sent and read, and whether at all."""

from __future__ import annotations

import pathlib
import socket
import ssl
import subprocess
from typing import Union

Reply = Union[bytes, int, None, list, "Error"]


class Error(str):
    """An error reply, without its leading `-`."""


def encode(*arguments: str | bytes | int) -> bytes:
    """A request as an array of bulk strings."""
    parts = [argument if isinstance(argument, bytes) else str(argument).encode() for argument in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


class RawClient:
    """A RESP2 client, over TLS where it is given a context for it. Every wait of its is bounded by `timeout` seconds, after
    which it raises TimeoutError."""

    def __init__(self, port: int = 0, *, path: str = "", family: int = socket.AF_INET, receive_buffer: int = 0,
                 timeout: float = 30, tls: ssl.SSLContext | None = None, session: ssl.SSLSession | None = None, source: str = ""):
        self.socket = socket.socket(socket.AF_UNIX if path else family)
        self.socket.settimeout(timeout)
        if receive_buffer:
            # Before connecting, because the window is agreed upon then.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(path or ("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        if tls:
            # An end of the stream that TLS does not tell of is an error.
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost", suppress_ragged_eofs=False, session=session)
        self.buffer = bytearray()

    def send(self, *arguments: str | bytes | int) -> None:
        self.socket.sendall(encode(*arguments))

    def send_raw(self, data: bytes | memoryview) -> None:
        self.socket.sendall(data)

    def call(self, *arguments: str | bytes | int) -> Reply:
        self.send(*arguments)
        return self.read()

    def read(self) -> Reply:
        """The next reply. Raises ConnectionError where the server has closed the connection before its end."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            return Error(rest.decode(errors="backslashreplace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._exactly(int(rest) + 2)[:-2]
        assert kind == b"*", line
        return None if rest == b"-1" else [self.read() for _ in range(int(rest))]

    def closed(self) -> bool:
        """Waits for the server to close the connection; what it sent before is left in `buffer`."""
        try:
            while self._fill():
                pass
        except ConnectionResetError:
            pass
        return True

    def _fill(self) -> int:
        data = self.socket.recv(1 << 20)
        self.buffer += data
        return len(data)

    def _need(self) -> None:
        if not self._fill():
            raise ConnectionError(f"closed by the server behind {bytes(self.buffer[:200])!r}")

    def _line(self) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            self._need()
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 2]
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._need()
        data = bytes(memoryview(self.buffer)[:size])
        del self.buffer[:size]
        return data

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def info(client: RawClient, field: str) -> str:
    """One field of INFO."""
    for line in client.call("INFO", "everything").decode().splitlines():
        if line.startswith(field + ":"):
            return line.partition(":")[2]
    raise AssertionError(f"INFO has no field {field}")


def memory_of(process: subprocess.Popen, field: str = "VmRSS") -> int:
    """Bytes of the process in memory: now (VmRSS) or at most so far (VmHWM)."""
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {field}")
