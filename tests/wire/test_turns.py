"""Many clients who are heard in the same turn of the loop: their requests are executed together, each client's as if alone.

The server's process is held while the clients send, so that it finds all of them ready at once.
"""

from __future__ import annotations

import contextlib
import pathlib
import signal

import pytest

from support.raw import Error, RawClient
from support.server import Server
from support.wait import wait_for

BUSY = Error("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")


@pytest.fixture
def own_server():
    with Server("--busy-reply-threshold", "20") as server:
        yield server


@pytest.fixture
def clients(own_server):
    """More of them than are executed together, all known to the server."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(RawClient(own_server.port)) for _ in range(150)]
        for client in made:
            assert client.call("PING") == b"PONG"
        yield made


def state(server: Server) -> str:
    """What the kernel says of the process: S, it waits; R, it runs; T, it is stopped."""
    return pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextlib.contextmanager
def held(server: Server):
    # Only while it waits has the kernel forgotten who was ready before: those would come first otherwise.
    wait_for(lambda: state(server) == "S", "the server waits", interval=0.01)
    server.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: state(server) == "T", "it is stopped", interval=0.01)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def test_all_are_answered_in_the_order_in_which_they_came(own_server, clients):
    with held(own_server):
        for client in clients:
            client.send("INCR", "counter")
    assert [client.read() for client in clients] == list(range(1, len(clients) + 1))


def test_long_short_and_unfinished_requests_keep_their_order(own_server, clients):
    """One that is too long to wait for the others comes between them, and one comes in two pieces."""
    with held(own_server):
        for i, client in enumerate(clients):
            if i == 10:
                client.send_raw(b"*2\r\n$4\r\nINCR\r\n$7\r\ncou")
            elif i % 7 == 3:
                client.send("APPEND", "long", "x" * 1000)
            else:
                client.send("INCR", "counter")
    numbers = [client.read() for i, client in enumerate(clients) if i != 10 and i % 7 != 3]
    assert numbers == list(range(1, len(numbers) + 1))
    appended = [client.read() for i, client in enumerate(clients) if i % 7 == 3 and i != 10]
    assert appended == [1000 * (i + 1) for i in range(len(appended))]
    clients[10].send_raw(b"nter\r\n")
    assert clients[10].read() == len(numbers) + 1


def test_a_request_can_end_clients_whose_requests_wait_behind_it(own_server, clients):
    ids = [client.call("CLIENT", "ID") for client in clients]
    with held(own_server):
        clients[0].send("CLIENT", "KILL", "ID", ids[1])
        for client in clients[1:]:
            client.send("INCR", "counter")
    assert clients[0].read() == 1
    assert clients[1].closed() and not clients[1].buffer
    assert [client.read() for client in clients[2:]] == list(range(1, len(clients) - 1))


def test_a_client_that_sends_and_goes_away_has_been_heard(own_server, clients):
    with held(own_server):
        for client in clients[1:]:
            client.send("INCR", "counter")
            client.close()
    wait_for(lambda: clients[0].call("GET", "counter") == b"%d" % (len(clients) - 1), "all are executed")


def test_who_waits_behind_a_long_script_is_answered_while_it_runs(own_server, clients):
    """And in order: what a client sends later is not executed before what it sent first."""
    with held(own_server):
        clients[0].send("EVAL", "while true do end", "0")
        for client in clients[1:]:
            client.send("PING")
    assert {str(client.read()) for client in clients[1:]} == {str(BUSY)}
    clients[1].send("PING")
    assert clients[1].read() == BUSY
    assert clients[2].call("SCRIPT", "KILL") == b"OK"
    assert isinstance(clients[0].read(), Error)
    assert [client.call("PING") for client in clients] == [b"PONG"] * len(clients)


def test_nothing_is_executed_behind_a_shutdown(own_server, clients):
    with held(own_server):
        clients[0].send("SHUTDOWN", "NOSAVE")
        for client in clients[1:]:
            client.send("SET", "key", "value")
    assert own_server.process.wait(30) == 0
    for client in clients:
        assert client.closed() and not client.buffer


def test_a_client_is_resumed_in_the_turn_in_which_it_is_read(own_server, clients):
    """What it keeps is executed, and its buffer freed, by the request of another client that was read before its own."""
    pushers, waiting = clients[:20], clients[20:40]
    for i, client in enumerate(waiting):
        client.send_raw(b"BLPOP key:%d 0\r\nPING\r\n" % i)
    wait_for(lambda: pushers[0].call("CLIENT", "LIST").count(b"flags=b") == len(waiting), "all wait")
    for _ in range(20):
        with held(own_server):
            for i, client in enumerate(pushers):
                client.send("RPUSH", f"key:{i}", "x")
            for i, client in enumerate(waiting):
                client.send_raw(b"ECHO hello\r\nBLPOP key:%d 0\r\nPING\r\n" % i)
        for i, client in enumerate(waiting):
            assert client.read() == [b"key:%d" % i, b"x"]
            assert client.read() == b"PONG"
            assert client.read() == b"hello"
        assert [client.read() for client in pushers] == [1] * len(pushers)
