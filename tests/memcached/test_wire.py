"""Raw sockets: large values, endless lines, many and slow clients, the binary protocol, addresses."""

from __future__ import annotations

import os
import resource
import socket

import pytest

from support.memcached import CacheServer, TextClient
from support.raw import Error, RawClient, info, memory_of
from support.server import Server, free_port
from support.wait import wait_for

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def large():
    """A server without a bound on items but the usual one."""
    with CacheServer() as running:
        yield running


@pytest.fixture
def client(large):
    with TextClient(large.memcached_port) as made:
        made.ask(b"flush_all\r\n")
        yield made


def test_values_of_20_megabytes_pass(client, large):
    value = os.urandom(20 * MEGABYTE)
    assert client.ask(b"set k 3 0 %d\r\n%b\r\n" % (len(value), value)) == b"STORED\r\n"
    assert client.ask(b"get k\r\n") == b"VALUE k 3 %d\r\n%b\r\nEND\r\n" % (len(value), value)
    assert client.ask(b"ms k %d MA\r\n%b\r\n" % (len(value), value)) == b"HD\r\n"
    assert client.ask(b"mg k v s\r\n") == b"VA %d s%d\r\n%b\r\n" % (2 * len(value), 2 * len(value), value + value)
    with RawClient(large.port) as resp:
        resp.call("SELECT", 1)
        assert resp.call("STRLEN", "k") == 2 * len(value)


def test_a_value_may_come_in_pieces_of_any_size(client):
    value = bytes(range(256)) * 200
    request = b"set k 0 0 %d\r\n%b\r\nget k\r\n" % (len(value), value)
    for size in (1, 7, 1000, 65536):
        for begin in range(0, len(request), size if size > 1 else 997):
            client.send(request[begin:begin + (size if size > 1 else 997)])
        assert client.ask(b"") == b"STORED\r\nVALUE k 0 %d\r\n%b\r\nEND\r\n" % (len(value), value)


def test_what_is_too_large_is_passed_over_and_not_kept(server):
    with TextClient(server.memcached_port) as client:
        client.ask(b"set k 0 0 1\r\na\r\n")
        before = memory_of(server.process, "VmHWM")
        client.send(b"set k 0 0 %d\r\n" % (500 * MEGABYTE))
        assert client.read_until(b"\r\n") == b"SERVER_ERROR object too large for cache"
        piece = b"x" * MEGABYTE
        for _ in range(500):
            client.send(piece)
        assert client.ask(b"\r\nget k\r\n") == b"END\r\n"
        assert memory_of(server.process, "VmHWM") - before < 50 * MEGABYTE


def test_many_keys_in_one_line(client):
    keys = [b"key:%06d" % i for i in range(20_000)]
    for begin in range(0, len(keys), 1000):
        client.ask(b"".join(b"set %b 0 0 1 noreply\r\na\r\n" % key for key in keys[begin:begin + 1000]))
    assert client.ask(b"get " + b" ".join(keys) + b"\r\n") == b"".join(b"VALUE %b 0 1\r\na\r\n" % key for key in keys) + b"END\r\n"


@pytest.mark.parametrize("endless", [b"x", b"get x ", b"set ", b" "])
def test_a_line_without_an_end_ends_the_connection(large, endless):
    with TextClient(large.memcached_port) as client:
        before = memory_of(large.process)
        data = endless * (MEGABYTE // len(endless))
        try:
            for _ in range(64):
                client.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert client.read_until(b"nothing").replace(b"CLIENT_ERROR line too long\r\n", b"") == b"<closed>"
    assert memory_of(large.process) - before < 64 * MEGABYTE
    with TextClient(large.memcached_port) as client:
        assert client.ask(b"get x\r\n") in (b"END\r\n", b"VALUE x 0 1\r\na\r\nEND\r\n")


def test_the_binary_protocol_is_refused_and_the_log_says_why(large):
    with TextClient(large.memcached_port) as client:
        client.send(b"\x80\x0b" + b"\0" * 22)
        assert client.read_until(b"nothing") == b"<closed>"
    wait_for(lambda: "speaks memcached's binary protocol" in large.read_log(), "the line in the log")


def test_a_client_that_does_not_read_is_disconnected_by_the_output_limit(large):
    with TextClient(large.memcached_port) as writer, RawClient(large.port) as admin:
        writer.ask(b"set k 0 0 %d\r\n%b\r\n" % (MEGABYTE, b"x" * MEGABYTE))
        assert admin.call("CONFIG", "SET", "client-output-buffer-limit", "normal 50mb 0 0") == b"OK"
        with TextClient(large.memcached_port) as reader:
            reader.send(b"get k\r\n" * 200)
            wait_for(lambda: info(admin, "connected_clients") == "2", "the disconnection")
        assert admin.call("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0") == b"OK"


def test_ten_thousand_idle_connections_cost_little():
    wanted = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 200), max(hard, wanted + 200)))
    clients = []
    try:
        with CacheServer("--maxclients", "11000", "--tcp-backlog", "4096") as server:
            with TextClient(server.memcached_port) as first:
                first.ask(b"set k 0 0 1\r\na\r\n")
                before = memory_of(server.process)
                for _ in range(wanted):
                    clients.append(socket.create_connection(("127.0.0.1", server.memcached_port)))
                wait_for(lambda: b"STAT curr_connections %d\r\n" % (wanted + 1) in first.ask(b"stats\r\n"), "all connections")
                for each in clients[:: wanted // 10]:
                    each.sendall(b"get k\r\n")
                    assert each.recv(100) == b"VALUE k 0 1\r\na\r\nEND\r\n"
                assert (memory_of(server.process) - before) / wanted < 4096
    finally:
        for each in clients:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def test_addresses(tmp_path):
    path = str(tmp_path / "cache.sock")
    port = free_port()
    settings = f'[[database]]\nindex = 1\nname = "cache"\nmemcached-port = {port}\nmemcached-bind = ["127.0.0.1", "-::1"]\nmemcached-unixsocket = "{path}"\n'
    with Server(settings=settings) as server:
        with TextClient(port) as v4, TextClient(path=path) as local, RawClient(server.port) as admin:
            assert v4.ask(b"set k 0 0 1\r\na\r\n") == b"STORED\r\n"
            assert local.ask(b"get k\r\n") == b"VALUE k 0 1\r\na\r\nEND\r\n"
            if has_ipv6_loopback():
                with TextClient(port, family=socket.AF_INET6) as v6:
                    assert v6.ask(b"get k\r\n") == b"VALUE k 0 1\r\na\r\nEND\r\n"
            other = free_port()
            assert admin.call("CONFIG", "SET", "db.cache.memcached-port", other) == b"OK"
            with TextClient(other) as moved:
                assert moved.ask(b"get k\r\n") == b"VALUE k 0 1\r\na\r\nEND\r\n"
            with pytest.raises(ConnectionRefusedError):
                TextClient(port)
            taken = admin.call("CONFIG", "SET", "db.cache.memcached-port", server.port)
            assert isinstance(taken, Error) and "Failed to bind" in taken
            with TextClient(other) as moved:
                assert moved.ask(b"get k\r\n") == b"VALUE k 0 1\r\na\r\nEND\r\n"
            assert admin.call("CONFIG", "SET", "db.cache.memcached-port", 0) == b"OK"
            with pytest.raises(ConnectionRefusedError):
                TextClient(other)
            assert local.ask(b"get k\r\n") == b"VALUE k 0 1\r\na\r\nEND\r\n"
    assert not os.path.exists(path)


def test_stats_know_the_database(server, text):
    assert text.ask(b"stats reset\r\n") == b"RESET\r\n"
    text.ask(b"set a 0 0 1\r\na\r\nset b 0 0 1\r\n1\r\nget a z\r\nincr b 1\r\ndecr z 1\r\ntouch a 10\r\ngat 10 a\r\ndelete a\r\ndelete a\r\ncas b 0 0 1 1\r\na\r\ncas z 0 0 1 1\r\na\r\nmg b v\r\n")
    lines = dict(line.split()[1:3] for line in text.ask(b"stats\r\n").decode().splitlines() if line.startswith("STAT"))
    expected = {"curr_items": 1, "cmd_get": 4, "cmd_set": 4, "cmd_touch": 2, "get_hits": 3, "get_misses": 1, "incr_hits": 1, "decr_misses": 1, "touch_hits": 2, "delete_hits": 1, "delete_misses": 1,
                "cas_badval": 1, "cas_misses": 1, "cmd_meta": 1, "total_items": 2, "threads": 1, "database": 1}
    assert {name: int(lines[name]) for name in expected} == expected
    assert int(lines["pid"]) == server.process.pid
    assert b"STAT tcpport %d\r\n" % server.memcached_port in text.ask(b"stats settings\r\n")
    assert b"STAT item_size_max 1048576\r\n" in text.ask(b"stats settings\r\n")
    assert b"STAT items:1:number 1\r\n" in text.ask(b"stats items\r\n")
    assert b"STAT active_slabs 1\r\n" in text.ask(b"stats slabs\r\n")
    assert b":state conn_parse_cmd\r\n" in text.ask(b"stats conns\r\n")


FORGED = b"set forged 0 0 3\r\nyes\r\nflush_all\r\n"


@pytest.mark.parametrize("line", [b"POST / HTTP/1.1", b"GET / HTTP/1.0", b"PUT /x?y=z HTTP/1.1", b"set / HTTP/1.1", b"get / HTTP/1.1", b"mg http://x/ HTTP/1.1",
                                  b"PRI * HTTP/2.0", b"delete / HTTP/3", b"XYZ / a b HTTP/1.1"])
@pytest.mark.parametrize("pieces", [False, True])
def test_http_ends_the_connection_before_its_body(server, text, line, pieces):
    text.ask(b"set kept 0 0 1\r\na\r\n")
    request = line + b"\r\nContent-Length: 40\r\n\r\n" + FORGED
    with TextClient(server.memcached_port) as browser:
        try:
            for piece in [request[at : at + 7] for at in range(0, len(request), 7)] if pieces else [request]:
                browser.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert browser.read_until(b"never") == b"<closed>"
    assert text.ask(b"get kept forged\r\n") == b"VALUE kept 0 1\r\na\r\nEND\r\n"
    assert "SECURITY ATTACK" in server.read_log()


def test_what_only_looks_like_http(text):
    assert text.ask(b"set HTTP/1.1 0 0 1\r\na\r\nget HTTP/1.1\r\n") == b"STORED\r\nVALUE HTTP/1.1 0 1\r\na\r\nEND\r\n"
    assert text.ask(b"get a HTTP/x\r\nget a xHTTP/1.1\r\n") == b"END\r\nEND\r\n"
    assert text.ask(b"set k 0 0 15\r\nPOST / HTTP/1.1\r\nget k\r\n") == b"STORED\r\nVALUE k 0 15\r\nPOST / HTTP/1.1\r\nEND\r\n"


def says_busy(client: TextClient) -> bool:
    client.send(b"get k\r\n")
    reply = client.read_until(b"\r\n")
    # All of an item's lines may have come at once, or only the first.
    if reply.startswith(b"VALUE") and not reply.endswith(b"END"):
        client.read_until(b"END\r\n")
    return reply.startswith(b"SERVER_ERROR BUSY ")


def test_guards_refuse_in_the_form_of_this_protocol(server, text):
    with RawClient(server.port) as admin:
        assert admin.call("CONFIG", "SET", "busy-reply-threshold", 50) == b"OK"
        text.ask(b"set k 0 0 1\r\na\r\n")
        admin.send("EVAL", "while true do end", 0)
        try:
            wait_for(lambda: says_busy(text), "BUSY")
        finally:
            with RawClient(server.port) as killer:
                wait_for(lambda: killer.call("SCRIPT", "KILL") == b"OK", "the end of the script")
        assert isinstance(admin.read(), Error)
        assert text.ask(b"get k\r\n") == b"VALUE k 0 1\r\na\r\nEND\r\n"
        assert admin.call("CONFIG", "SET", "busy-reply-threshold", 5000) == b"OK"
