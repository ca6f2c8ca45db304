"""Who is let in, how many, how they get there and when they are shown out."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from support.raw import Error, RawClient, encode, info, memory_of
from support.server import Server
from support.wait import wait_for

IDLE = 10_000
BUSY = 50
MEGABYTE = 1 << 20


def ping_all(clients: list[socket.socket]) -> None:
    for client in clients:
        client.sendall(b"*1\r\n$4\r\nPING\r\n")
    for client in clients:
        assert client.recv(100) == b"+PONG\r\n"


def test_ten_thousand_idle_connections_beside_fifty_busy_ones(many_descriptors):
    with Server("--maxclients", str(IDLE + BUSY + 10)) as server:
        before = memory_of(server.process)
        idle = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(IDLE)]
        busy = [RawClient(server.port) for _ in range(BUSY)]
        ping_all(idle)
        requests = b"".join(encode("INCR", "counter") for _ in range(100))
        for _ in range(20):
            for client in busy:
                client.send_raw(requests)
            for client in busy:
                for _ in range(100):
                    assert isinstance(client.read(), int)
        assert busy[0].call("GET", "counter") == b"%d" % (BUSY * 100 * 20)
        assert info(busy[0], "connected_clients") == str(IDLE + BUSY)
        ping_all(idle)
        # A connection costs its session and its handle; a buffer of its own would be 16 KB at least.
        assert memory_of(server.process) - before < IDLE * 4096 + 16 * MEGABYTE
        for client in idle:
            client.close()
        wait_for(lambda: info(busy[0], "connected_clients") == str(BUSY), "all connections are noticed to be gone")
        for client in busy:
            client.close()


def test_maxclients_refuses_and_lets_in_again():
    with Server("--maxclients", "3") as server:
        first = RawClient(server.port)
        wait_for(lambda: info(first, "connected_clients") == "1", "the probe of the start is gone")
        others = [RawClient(server.port) for _ in range(2)]
        assert [client.call("PING") for client in others] == [b"PONG"] * 2
        with RawClient(server.port) as refused:
            assert refused.read() == "ERR max number of clients reached"
            assert refused.closed()
        assert info(first, "rejected_connections") == "1"
        others.pop().close()
        wait_for(lambda: info(first, "connected_clients") == "2", "the closed connection is noticed")
        with RawClient(server.port) as late:
            assert late.call("PING") == b"PONG"
        for client in [first, *others]:
            client.close()


def test_timeout_closes_idle_clients_but_none_that_wait():
    with Server("--timeout", "1") as server:
        idle, blocked, subscriber = (RawClient(server.port) for _ in range(3))
        blocked.send("BLPOP", "list", "0")
        assert subscriber.call("SUBSCRIBE", "channel") == [b"subscribe", b"channel", 1]
        assert idle.call("PING") == b"PONG"
        assert idle.closed() and not idle.buffer
        with RawClient(server.port) as pusher:
            assert pusher.call("PUBLISH", "channel", "message") == 1
            assert pusher.call("LPUSH", "list", "element") == 1
        assert blocked.read() == [b"list", b"element"]
        assert subscriber.read() == [b"message", b"channel", b"message"]
        for client in (idle, blocked, subscriber):
            client.close()


def test_unix_socket(tmp_path):
    path = str(tmp_path / "socket")
    with Server("--unixsocket", path, "--unixsocketperm", "700") as server:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
        with RawClient(path=path) as local, RawClient(server.port) as remote:
            assert local.call("SET", "key", "by file") == b"OK"
            assert remote.call("GET", "key") == b"by file"
            assert f"addr={path}:0" in local.call("CLIENT", "INFO").decode()
    assert not os.path.exists(path)


def test_ipv6():
    with Server("--bind", "127.0.0.1 ::1") as server:
        with RawClient(server.port, family=socket.AF_INET6) as client:
            assert client.call("PING") == b"PONG"
            assert "addr=[::1]:" in client.call("CLIENT", "INFO").decode()
        with RawClient(server.port) as client:
            assert client.call("PING") == b"PONG"


def test_protected_mode_lets_the_own_machine_in(tmp_path):
    path = str(tmp_path / "socket")
    with Server("--protected-mode", "yes", "--bind", "127.0.0.1 ::1", "--unixsocket", path) as server:
        for client in (RawClient(server.port), RawClient(server.port, family=socket.AF_INET6), RawClient(path=path)):
            assert client.call("CONFIG", "GET", "protected-mode") == [b"protected-mode", b"yes"]
            client.close()


def test_requests_byte_by_byte(connect):
    client, watcher = connect(), connect()
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = encode("SET", "bytes", b"a\r\nb\0c") + b"ECHO \"in\\x6cine\"\r\n" + b"\r\n" + encode("GET", "bytes")
    for i, byte in enumerate(stream):
        client.send_raw(bytes([byte]))
        if i % 16 == 0:
            assert watcher.call("PING") == b"PONG"  # so that the server gets to read in between
    assert [client.read() for _ in range(3)] == [b"OK", b"inline", b"a\r\nb\0c"]


@pytest.fixture(scope="module")
def locked():
    with Server("--requirepass", "secret") as server:
        yield server


class TestUnauthenticated:
    """A client that has not said who it is cannot make the server hold much."""

    def test_may_send_short_requests(self, locked):
        with RawClient(locked.port) as client:
            assert client.call("GET", "key") == "NOAUTH Authentication required."
            assert client.call("ECHO", "x" * 16384) == "NOAUTH Authentication required."
            assert client.call("AUTH", "wrong") == "WRONGPASS invalid username-password pair or user is disabled."
            assert client.call("AUTH", "secret") == b"OK"
            assert client.call("ECHO", "x" * 16385) == b"x" * 16385

    @pytest.mark.parametrize("request_head, error", [
        (b"*11\r\n", "ERR Protocol error: unauthenticated multibulk length"),
        (b"*2\r\n$4\r\nECHO\r\n$16385\r\n", "ERR Protocol error: unauthenticated bulk length"),
    ])
    def test_is_shown_out_for_long_ones(self, locked, request_head, error):
        with RawClient(locked.port) as client:
            client.send_raw(request_head)
            assert client.read() == Error(error)
            assert client.closed()

    def test_a_handshake_and_a_long_request_in_one_piece(self, locked):
        with RawClient(locked.port) as client:
            client.send_raw(encode("AUTH", "secret") + encode("ECHO", "x" * 20000) + encode("MGET", *"abcdefghijkl"))
            assert client.read() == b"OK"
            assert client.read() == b"x" * 20000
            assert client.read() == [None] * 12
