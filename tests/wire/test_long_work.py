"""Work that grows with the data is done in slices, beside the clients; and the end comes in order."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from support.raw import Error, RawClient, encode, info
from support.server import Server
from support.wait import wait_for

MILLION = 1_000_000
SLOW_US = 500_000  # what no single command here comes near, even on a busy machine, unless it does the work of all


def slow_commands(client: RawClient) -> list:
    return [entry[3] for entry in client.call("SLOWLOG", "GET", "-1")]


@pytest.fixture
def debuggable():
    with Server("--enable-debug-command", "local", "--slowlog-log-slower-than", str(SLOW_US)) as server:
        yield server


def test_a_million_keys_that_expire_together(debuggable):
    with RawClient(debuggable.port) as loader, RawClient(debuggable.port) as client:
        # They expire long before the last is written, but are left until all are there.
        assert loader.call("DEBUG", "SET-ACTIVE-EXPIRE", "0") == b"OK"
        moment = int(time.time() * 1000) + 4000
        batch = 20_000
        for start in range(0, MILLION, batch):
            loader.send_raw(b"".join(b"SET key:%d v PXAT %d\r\n" % (i, moment) for i in range(start, start + batch)))
            for _ in range(batch):
                assert loader.read() == b"OK"
        wait_for(lambda: time.time() * 1000 > moment, "the moment has come")
        size = client.call("DBSIZE")
        assert size > MILLION // 2
        assert loader.call("DEBUG", "SET-ACTIVE-EXPIRE", "1") == b"OK"
        sizes = [size]
        while sizes[-1]:
            assert client.call("PING") == b"PONG"
            sizes.append(client.call("DBSIZE"))
        # Between the slices the clients are served: they see the database shrink, step by step.
        assert len(set(sizes)) > 20
        assert sizes == sorted(sizes, reverse=True)
        assert int(info(client, "expired_keys")) >= size
        assert slow_commands(client) == []


def test_flushall_of_a_million_keys(debuggable):
    with RawClient(debuggable.port, timeout=60) as client, RawClient(debuggable.port) as other:
        empty = int(info(client, "used_memory"))
        assert client.call("DEBUG", "POPULATE", MILLION) == b"OK"
        full = int(info(client, "used_memory"))
        client.call("SLOWLOG", "RESET")
        client.send_raw(encode("FLUSHALL") + encode("DBSIZE") + encode("SET", "key", "new"))
        assert other.call("PING") == b"PONG"
        assert [client.read() for _ in range(3)] == [b"OK", 0, b"OK"]
        assert other.call("GET", "key") == b"new"
        wait_for(lambda: int(info(other, "used_memory")) - empty < (full - empty) // 10, "the memory is given back")
        assert info(other, "lazyfree_pending_objects") == "0"
        assert slow_commands(client) == []


def test_debug_is_refused_unless_allowed(server, debuggable):
    with RawClient(server.port) as client:
        for arguments in (["SLEEP", "0"], ["POPULATE", "1"], ["SET-ACTIVE-EXPIRE", "0"]):
            assert str(client.call("DEBUG", *arguments)).startswith("ERR DEBUG command not allowed.")
        assert isinstance(client.call("CONFIG", "SET", "enable-debug-command", "yes"), Error)
    with RawClient(debuggable.port) as client:
        assert client.call("DEBUG", "SLEEP", "0.01") == b"OK"


def test_terminate_under_load():
    with Server() as server:
        requests = encode("SET", "key", "x" * 100) * 500 + encode("GET", "key") * 500
        replies = b"+OK\r\n" * 500 + (b"$100\r\n" + b"x" * 100 + b"\r\n") * 500
        seen = [0] * 8

        def load(number: int) -> None:
            received = 0
            try:
                with RawClient(server.port) as client:
                    while True:
                        client.send_raw(requests)
                        rest = len(replies)
                        while rest:
                            data = client.socket.recv(rest)
                            if not data:
                                return
                            start = len(replies) - rest
                            if data != replies[start:start + len(data)]:
                                seen[number] = -1
                                return
                            rest -= len(data)
                        received += 1
                        seen[number] = received
            except ConnectionError:
                return

        threads = [threading.Thread(target=load, args=(number,)) for number in range(len(seen))]
        for thread in threads:
            thread.start()
        wait_for(lambda: all(seen), "everybody is served")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert min(seen) > 0  # nobody has read what was not theirs
