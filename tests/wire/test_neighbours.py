"""Long commands in one database, and the clients of another beside them."""

from __future__ import annotations

import os
import pathlib
import socket

import pytest

from support.raw import RawClient, encode
from support.server import Server
from support.wait import wait_for

MILLION = 1_000_000


@pytest.fixture(scope="module")
def server():
    with Server("--enable-debug-command", "local", "--slowlog-log-slower-than", "0") as running:
        with RawClient(running.port, timeout=60) as client:
            assert client.call("SELECT", 1) == b"OK"
            assert client.call("DEBUG", "POPULATE", MILLION) == b"OK"
            assert client.call("SADD", "small", *range(1000)) == 1000
        yield running


@pytest.fixture
def divided(server):
    """The same server while every command stands still wherever it can."""
    with RawClient(server.port) as client:
        assert client.call("DEBUG", "SLICES", 1, 0) == b"OK"
        yield server
        assert client.call("DEBUG", "SLICES", 4096, 250) == b"OK"


def test_a_queue_goes_on_while_all_keys_of_another_database_are_listed(server):
    with RawClient(server.port, timeout=60) as lister, RawClient(server.port) as worker, RawClient(server.port) as producer:
        assert lister.call("SELECT", 1) == b"OK"
        # A pattern that no key matches: the reply is small, and comes at once when it comes.
        lister.send("KEYS", "*no such key*")
        lister.socket.setblocking(False)
        done = 0
        while True:
            worker.send("BRPOP", "queue", 10)
            assert producer.call("LPUSH", "queue", f"job {done}") >= 1
            assert worker.read() == [b"queue", b"job %d" % done]
            try:
                if lister.socket.recv(1, socket.MSG_PEEK):
                    break
            except BlockingIOError:
                done += 1
        lister.socket.settimeout(60)
        assert lister.read() == []
        # One after the other, so that a server that lists the keys in one piece could have done one or two.
        assert done > 20
        address, port = lister.socket.getsockname()
        slow = [entry for entry in producer.call("SLOWLOG", "GET", "-1") if entry[3][0] == b"KEYS"]
        assert slow[0][4] == f"{address}:{port}".encode()


def test_clients_of_the_same_database_wait(server):
    with RawClient(server.port, timeout=60) as lister, RawClient(server.port, timeout=60) as other:
        assert lister.call("SELECT", 1) == b"OK"
        assert other.call("SELECT", 1) == b"OK"
        lister.send("KEYS", "key:1")
        other.send("SET", "key:1", "new")
        assert lister.read() == [b"key:1"]
        assert other.read() == b"OK"


def test_large_replies_are_whole(server):
    with RawClient(server.port, timeout=60) as client:
        assert client.call("SELECT", 1) == b"OK"
        client.send_raw(encode("KEYS", "key:*") + encode("DBSIZE") + encode("KEYS", "key:5?"))
        keys = client.read()
        assert len(keys) == len(set(keys)) == MILLION
        assert client.read() == MILLION + 1
        assert sorted(client.read()) == [b"key:%d" % i for i in range(50, 60)]


def test_a_client_that_closes_its_side_is_answered(divided):
    with RawClient(divided.port) as client, RawClient(divided.port) as other:
        client.send_raw(encode("SELECT", 1) + encode("SMEMBERS", "small") + encode("SET", "left", "behind"))
        other.send_raw(encode("SELECT", 1) + encode("SET", "other", "x"))
        client.socket.shutdown(socket.SHUT_WR)
        other.socket.shutdown(socket.SHUT_WR)
        assert client.read() == other.read() == b"OK"
        assert len(client.read()) == 1000
        assert client.read() == other.read() == b"OK"
        assert client.socket.recv(1) == b"" == other.socket.recv(1)


def test_a_write_is_executed_although_its_client_has_gone(divided):
    with RawClient(divided.port) as other:
        for i in range(20):
            with RawClient(divided.port) as client:
                client.send_raw(encode("SELECT", 1) + encode("SUNIONSTORE", f"copy:{i}", "small"))
                # Its replies cannot be delivered, and the connection ends with a reset.
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert other.call("SELECT", 1) == b"OK"
        # Where the reset has come before the request was read there is nothing, but never a part.
        for i in range(20):
            assert other.call("SCARD", f"copy:{i}") in (0, 1000)


def test_a_client_that_goes_away_sets_its_database_free(divided):
    with RawClient(divided.port) as other:
        assert other.call("SELECT", 1) == b"OK"
        with RawClient(divided.port) as client:
            client.send_raw(encode("SELECT", 1) + encode("KEYS", "*"))
            assert client.read() == b"OK"
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert other.call("GET", "key:2") == b"value:2"


def test_threads_that_free_memory_come_behind_the_loop(server):
    """So that it does not wait for them where they share its core."""
    with RawClient(server.port, timeout=60) as client:
        client.call("SELECT", 2)
        client.call("DEBUG", "POPULATE", 1000)
        client.call("FLUSHDB")
        wait_for(lambda: b"lazyfree_pending_objects:0\r\n" in client.call("INFO", "memory"), "the keys are freed")
    loop = server.process.pid
    threads = [int(task.name) for task in pathlib.Path(f"/proc/{loop}/task").iterdir()]
    niceness = os.getpriority(os.PRIO_PROCESS, loop)
    assert min(19, niceness + 10) in [os.getpriority(os.PRIO_PROCESS, thread) for thread in threads if thread != loop]
