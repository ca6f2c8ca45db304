"""Processes that are killed and stopped while many clients write: what was acknowledged is there afterwards.

QUARTET_KILL_ROUNDS says how many rounds of kill -9; QUARTET_KILL_SEED repeats the moments of one run.
"""

from __future__ import annotations

import os
import pathlib
import random
import selectors
import signal
import socket
import time

import pytest
from support.raw import Error, RawClient, encode
from support.server import server_binary

ALWAYS, EVERYSEC, UNLOGGED = 0, 1, 2
LOGGED = ["--appendonly", "yes", "--appendfsync", "always", "--db.1.appendfsync", "everysec", "--db.2.appendonly", "no"]


class Writer:
    """A connection that keeps some SETs under way and knows which of them were acknowledged."""

    def __init__(self, port: int, name: str, database: int, depth: int):
        self.name, self.database, self.depth = name, database, depth
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.sendall(encode("SELECT", database))
        assert self.socket.recv(100) == b"+OK\r\n"
        self.socket.setblocking(False)
        self.sent = self.acknowledged = 0
        self.received = b""

    def key(self, number: int) -> str:
        return f"{self.name}:{number % 50}"

    def send(self) -> None:
        requests = bytearray()
        while self.sent - self.acknowledged < self.depth:
            requests += encode("SET", self.key(self.sent), self.sent)
            self.sent += 1
        if requests:
            self.socket.setblocking(True)
            self.socket.sendall(requests)
            self.socket.setblocking(False)

    def receive(self) -> bool:
        """False where the connection has ended."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        self.received += data
        whole, _, self.received = self.received.rpartition(b"\r\n")
        for reply in whole.split(b"\r\n") if whole else []:
            assert reply == b"+OK", reply
            self.acknowledged += 1
        return bool(data)

    def check(self, client: RawClient) -> None:
        """Each key holds what was acknowledged last, or something that was sent later."""
        client.call("SELECT", self.database)
        for slot in range(min(50, self.sent)):
            last = max((n for n in range(max(0, self.acknowledged - 50), self.acknowledged) if n % 50 == slot), default=None)
            value = client.call("GET", f"{self.name}:{slot}")
            if value is None:
                assert last is None, f"database {self.database}, {self.name}:{slot}: SET {last} was acknowledged and is gone"
                continue
            number = int(value)
            assert number % 50 == slot and number < self.sent, f"{self.name}:{slot} is {number}, which was never sent"
            assert last is None or number >= last, f"{self.name}:{slot}: SET {last} was acknowledged, and {number} is there"


def write_until(writers: list[Writer], end: float) -> None:
    """Keeps all writers going until then, or until the connections end."""
    with selectors.DefaultSelector() as selector:
        for writer in writers:
            selector.register(writer.socket, selectors.EVENT_READ, writer)
            writer.send()
        while selector.get_map() and time.monotonic() < end:
            for key, _ in selector.select(max(0.0, end - time.monotonic())):
                writer = key.data
                try:
                    alive = writer.receive()
                    if alive:
                        writer.send()
                except ConnectionError:
                    alive = False
                if not alive:
                    selector.unregister(writer.socket)


def drain(writers: list[Writer]) -> None:
    """Receives what the server said before it ended."""
    for writer in writers:
        writer.socket.settimeout(10)
        while writer.receive():
            pass
        writer.socket.close()


def writers_for(port: int, turn: int = 0) -> list[Writer]:
    databases = [ALWAYS] * 40 + [EVERYSEC] * 5 + [UNLOGGED] * 5
    return [Writer(port, f"{turn}:{number}", database, 1 + number % 4) for number, database in enumerate(databases)]


def test_kill_under_load_loses_nothing_that_was_acknowledged(servers):
    seed = int(os.environ.get("QUARTET_KILL_SEED", random.randrange(1 << 30)))
    print(f"QUARTET_KILL_SEED={seed}")
    chance = random.Random(seed)
    server = servers(*LOGGED, "--auto-aof-rewrite-min-size", "200kb").start()
    acknowledged = 0
    for turn in range(int(os.environ.get("QUARTET_KILL_ROUNDS", "5"))):
        writers = writers_for(server.port, turn)
        write_until(writers, time.monotonic() + chance.uniform(0.02, 0.5))
        if chance.random() < 0.3:
            with RawClient(server.port) as client:
                client.call("BGREWRITEAOF")
            write_until(writers, time.monotonic() + chance.uniform(0.0, 0.02))
        server.stop(signal.SIGKILL)
        drain(writers)
        server.start()
        with RawClient(server.port) as client:
            for writer in writers:
                acknowledged += writer.acknowledged
                if writer.database == ALWAYS:
                    writer.check(client)
            client.call("SELECT", UNLOGGED)
            assert client.call("DBSIZE") == 0
            if chance.random() < 0.2:
                client.call("FLUSHALL")
    assert acknowledged > 0
    print(f"{acknowledged} writes were acknowledged")


def test_sigterm_under_load_keeps_all_that_was_acknowledged(servers):
    server = servers(*LOGGED).start()
    writers = writers_for(server.port)
    write_until(writers, time.monotonic() + 0.3)
    server.process.send_signal(signal.SIGTERM)
    write_until(writers, time.monotonic() + 10)
    assert server.process.wait(10) == 0
    drain(writers)
    server.start()
    with RawClient(server.port) as client:
        for writer in writers:
            assert writer.acknowledged > 0
            if writer.database != UNLOGGED:
                writer.check(client)


def refused_start(server) -> str:
    """What a server says that does not start."""
    with pytest.raises(RuntimeError) as error:
        server.start()
    return str(error.value)


def test_a_second_server_refuses_the_directory(servers):
    first = servers(*LOGGED).start()
    second = servers(*LOGGED)
    second.remove()
    second.directory = first.directory
    said = refused_start(second)
    assert first.directory in said or "lock" in said.lower(), said
    with RawClient(first.port) as client:
        assert client.call("SET", "key", "value") == b"OK"


def filled(servers, *options: str):
    server = servers(*LOGGED, *options).start()
    with RawClient(server.port) as client:
        for number in range(300):
            assert client.call("SET", f"key:{number}", "x" * 100) == b"OK"
    server.stop()
    increments = sorted(pathlib.Path(server.directory, "appendonlydir").glob("*.incr.aof"))
    return server, increments[-1]


def test_corruption_in_the_middle_is_refused_with_file_and_offset(servers):
    server, increment = filled(servers)
    data = bytearray(increment.read_bytes())
    data[len(data) // 2] ^= 0x20
    increment.write_bytes(data)
    said = refused_start(server)
    assert increment.name in said and "offset" in said, said


def test_a_torn_tail_is_cut_and_told(servers):
    server, increment = filled(servers)
    data = increment.read_bytes()
    increment.write_bytes(data[:-30])
    server.start()
    said = server.read_log()
    assert increment.name in said and "cut off at offset" in said, said
    with RawClient(server.port) as client:
        assert client.call("DBSIZE") == 299
    server.stop()
    strict, increment = filled(servers, "--aof-load-truncated", "no")
    increment.write_bytes(increment.read_bytes()[:-30])
    said = refused_start(strict)
    assert increment.name in said and "offset" in said, said


REFERENCE = "/usr/bin/redis-server"


@pytest.mark.parametrize("binary", [server_binary(), REFERENCE])
@pytest.mark.parametrize("how, rules, kept", [((), "", False), ((), "3600 1000", True), (("NOSAVE",), "3600 1000", False),
                                              (("SAVE",), "", True), (("FORCE",), "", False), (("NOW", "SAVE"), "", True)])
def test_what_shutdown_saves(servers, binary, how, rules, kept):
    server = servers("--save", rules, binary=binary).start()
    with RawClient(server.port) as client:
        client.call("SET", "key", "value")
        client.send("SHUTDOWN", *how)
        assert client.closed() and not client.buffer
    assert server.process.wait(10) == 0
    server.start()
    with RawClient(server.port) as client:
        assert client.call("GET", "key") == (b"value" if kept else None)


@pytest.mark.parametrize("binary", [server_binary(), REFERENCE])
def test_what_shutdown_refuses(servers, binary):
    server = servers(binary=binary).start()
    with RawClient(server.port) as client:
        assert client.call("SHUTDOWN", "ABORT") == Error("ERR No shutdown in progress.")
        for words in (["SAVE", "NOSAVE"], ["ABORT", "NOW"], ["LATER"]):
            assert client.call("SHUTDOWN", *words) == Error("ERR syntax error")
        # A directory that cannot be written to: SHUTDOWN SAVE fails and the server goes on, FORCE ends it.
        os.mkdir(os.path.join(server.directory, "dump.rdb"))
        client.call("SET", "key", "value")
        assert client.call("SHUTDOWN", "SAVE") == Error("ERR Errors trying to SHUTDOWN. Check logs.")
        assert client.call("GET", "key") == b"value"
        client.send("SHUTDOWN", "SAVE", "FORCE")
        assert client.closed() and not client.buffer
    assert server.process.wait(10) == 0
