"""One store: what one protocol writes the other reads, in memory and in files, which redis-server loads too."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from support.memcached import CacheServer, TextClient
from support.raw import RawClient, info
from support.server import redis
from support.wait import wait_for


def test_both_protocols_see_the_same_keys(text, resp):
    assert text.ask(b"set k 5 100 5\r\nhello\r\n") == b"STORED\r\n"
    assert resp.call("GET", "k") == b"hello"
    assert resp.call("TYPE", "k") == b"string"
    assert resp.call("TTL", "k") == 100
    assert resp.call("SCAN", 0)[1] == [b"k"]
    assert resp.call("DBSIZE") == 1
    assert resp.call("DEL", "k") == 1
    assert text.ask(b"get k\r\n") == b"END\r\n"
    assert resp.call("SET", "k", b"\r\n\x00\xff", "EX", 100) == b"OK"
    assert text.ask(b"get k\r\nmg k t\r\n") == b"VALUE k 0 4\r\n\r\n\x00\xff\r\nEND\r\nHD t100\r\n"
    assert resp.call("SET", "n", 41) == b"OK"
    assert text.ask(b"incr n 1\r\n") == b"42\r\n"
    assert resp.call("INCR", "n") == 43
    assert resp.call("OBJECT", "ENCODING", "n") == b"int"
    assert text.ask(b"incr n 18446744073709551570\r\n") == b"18446744073709551613\r\n"
    assert resp.call("GET", "n") == b"18446744073709551613"


def test_only_the_database_of_the_listener_is_seen(text, resp):
    assert text.ask(b"set k 0 0 1\r\na\r\n") == b"STORED\r\n"
    for database in (0, 2):
        assert resp.call("SELECT", database) == b"OK"
        assert resp.call("EXISTS", "k") == 0
        assert resp.call("SET", "other", 1) == b"OK"
    assert text.ask(b"get other\r\nflush_all\r\n") == b"END\r\nOK\r\n"
    assert resp.call("GET", "other") == b"1"


def test_the_rest_of_the_server_hears_of_changes(server, text, resp):
    with RawClient(server.port) as listener, RawClient(server.port) as monitor:
        assert listener.call("CONFIG", "SET", "notify-keyspace-events", "KA") == b"OK"
        listener.call("PSUBSCRIBE", "__keyspace@1__:*")
        assert resp.call("WATCH", "watched") == b"OK"
        assert monitor.call("MONITOR") == b"OK"
        text.ask(b"set watched 0 100 1\r\n5\r\nincr watched 1\r\nappend watched 0 0 1\r\n0\r\ntouch watched 0\r\nmd watched I\r\ndelete watched\r\nmg watched N50\r\n")
        events = [listener.read()[3] for _ in range(8)]
        assert events == [b"set", b"expire", b"incrby", b"append", b"persist", b"set", b"del", b"set"]
        resp.call("MULTI")
        resp.call("PING")
        assert resp.call("EXEC") is None or resp.read() is None
        assert b'"set" "watched" "0" "100" "1" "5"' in monitor.read()
    assert resp.call("CONFIG", "SET", "notify-keyspace-events", "") == b"OK"


def test_clients_and_commands_are_accounted_for(server, text, resp):
    text.ask(b"get a\r\nget b\r\nfoo\r\n")
    clients = resp.call("CLIENT", "LIST").decode().splitlines()
    assert sum(" db=1 " in line and "cmd=memcached|mn" in line for line in clients) == 1
    assert "calls=" in info(resp, "cmdstat_memcached|get")
    assert int(info(resp, "errorstat_ERROR").partition("=")[2]) >= 1
    assert resp.call("COMMAND", "INFO", "mg") == [None]
    assert resp.call("MEMCACHED", "GET", "k").startswith("ERR unknown command")


def test_memory_of_plain_values_is_the_same(text, resp):
    """Flags and numbers take memory only where there are any."""
    for key in ("by-memcached", "by-redis"):
        resp.call("DEL", key)
    text.ask(b"set mem:a 0 0 32\r\n" + b"x" * 32 + b"\r\n")
    assert resp.call("SET", "mem:b", "x" * 32) == b"OK"
    plain = resp.call("MEMORY", "USAGE", "mem:b")
    assert resp.call("MEMORY", "USAGE", "mem:a") == plain
    text.ask(b"gets mem:a\r\n")
    numbered = resp.call("MEMORY", "USAGE", "mem:a")
    assert plain < numbered <= plain + 12
    assert resp.call("SET", "mem:a", "x" * 32) == b"OK"
    assert resp.call("MEMORY", "USAGE", "mem:a") == plain


def test_a_new_password_is_asked_for(server, text):
    with RawClient(server.port) as admin:
        assert admin.call("CONFIG", "SET", "requirepass", "secret") == b"OK"
        try:
            with TextClient(server.memcached_port) as client:
                for request in (b"get k\r\n", b"version\r\n", b"foo\r\n", b"ms k 2\r\nhi\r\n", b"set a 0 0 15\r\ndefault secretx\r\n"):
                    client.send(request)
                    assert client.read_until(b"\r\n") in (b"CLIENT_ERROR unauthenticated", b"CLIENT_ERROR authentication failure")
                client.send(b"set a 0 0 6\r\nsecret\r\n")
                assert client.read_until(b"\r\n") == b"CLIENT_ERROR bad authentication token format"
                client.send(b"set a 0 0 14\r\ndefault secret\r\n")
                assert client.read_until(b"\r\n") == b"STORED"
                assert client.ask(b"get a\r\n") == b"END\r\n"
                assert client.ask(b"set a 0 0 15\r\ndefault nothing\r\nget a\r\n") == b"STORED\r\nVALUE a 0 15\r\ndefault nothing\r\nEND\r\n"
            assert "secret" not in server.read_log()
        finally:
            assert admin.call("AUTH", "secret") == b"OK"
            assert admin.call("CONFIG", "SET", "requirepass", "") == b"OK"


@pytest.mark.parametrize("way", ["TCP", "Unix socket"])
def test_a_listener_that_is_open_to_this_machine_asks_no_password(tmp_path, way):
    path = str(tmp_path / "memcached.sock")
    options = ["--requirepass", "secret", "--db.1.memcached-unixsocket", path]
    with CacheServer(*options) as server, RawClient(server.port) as admin:
        def client() -> TextClient:
            return TextClient(server.memcached_port) if way == "TCP" else TextClient(path=path)

        assert admin.call("AUTH", "secret") == b"OK"
        with client() as closed:
            closed.send(b"get k\r\n")
            assert closed.read_until(b"\r\n") == b"CLIENT_ERROR unauthenticated"
        assert admin.call("CONFIG", "SET", "db.1.memcached-open-to-local", "yes") == b"OK"
        with client() as open_, RawClient(server.port) as resp:
            # What was a login is a value now.
            assert open_.ask(b"set k 0 0 14\r\ndefault secret\r\nget k\r\n") == b"STORED\r\nVALUE k 0 14\r\ndefault secret\r\nEND\r\n"
            # RESP asks all the same, and what `default` may not is refused here too.
            assert resp.call("GET", "k").startswith("NOAUTH")
            assert admin.call("ACL", "SETUSER", "default", "-memcached|delete") == b"OK"
            assert open_.ask(b"delete k\r\n").startswith(b"SERVER_ERROR NOPERM ")
        assert admin.call("ACL", "SETUSER", "default", "off") == b"OK"
        with client() as closed:
            closed.send(b"get k\r\n")
            assert closed.read_until(b"\r\n") == b"CLIENT_ERROR unauthenticated"


CHANGES = (b"set plain 0 0 5\r\nhello\r\nset flagged 4294967295 0 2\r\nhi\r\nset timed 5 1000000 2\r\nhi\r\nset n 3 0 2\r\n99\r\nincr n 1\r\nset e 4 0 1\r\nb\r\nappend e 0 0 1\r\nc\r\n"
           b"prepend e 0 0 1\r\na\r\nset stale 8 0 1\r\na\r\nmd stale I\r\nmg stub N1000000\r\nma counter N1000000 J5\r\nset long 7 0 20000\r\n" + b"x" * 20000 + b"\r\nset gone 7 0 1\r\na\r\ndelete gone\r\n")
VALUES = {b"plain": b"hello", b"flagged": b"hi", b"timed": b"hi", b"n": b"100", b"e": b"abc", b"stale": b"a", b"stub": b"", b"counter": b"5", b"long": b"x" * 20000}
FLAGS = {b"plain": 0, b"flagged": 4294967295, b"timed": 5, b"n": 3, b"e": 4, b"stale": 8, b"stub": 0, b"counter": 0, b"long": 7}


def check_flags(port: int) -> None:
    with TextClient(port) as client:
        for key, flags in FLAGS.items():
            reply = client.ask(b"mg %b f u\r\n" % key)
            assert reply.split()[:2] == [b"HD", b"f%d" % flags], (key, reply)
            assert (b" X" in reply) == (key == b"stale")


@pytest.mark.parametrize("kept", ["increment", "rewritten", "dump"])
def test_redis_loads_what_memcached_clients_have_made(kept):
    """And Quartet itself loads it with the flags."""
    log = () if kept == "dump" else ("--appendonly", "yes")
    with CacheServer(*log) as server:
        with TextClient(server.memcached_port) as text, RawClient(server.port) as resp:
            assert b"ERR" not in text.ask(CHANGES)
            if kept == "rewritten":
                resp.call("BGREWRITEAOF")
                wait_for(lambda: info(resp, "aof_rewrite_in_progress") == "0" and info(resp, "aof_rewrites") != "0", "the rewrite")
            if kept == "dump":
                assert resp.call("SAVE") == b"OK"
        server.stop()
        other = redis("--databases", "16", *log)
        shutil.copytree(server.directory, other.directory, dirs_exist_ok=True)
        with other, RawClient(other.port) as client:
            assert client.call("SELECT", 1) == b"OK"
            wait_for(lambda: info(client, "loading") == "0", "the end of loading")
            assert {key: client.call("GET", key) for key in client.call("KEYS", "*")} == VALUES
            assert 999_000 < client.call("TTL", "timed") <= 1_000_000
            assert client.call("TTL", "plain") == -1
        server.start()
        check_flags(server.memcached_port)


def test_redis_tools_accept_the_files():
    with CacheServer("--appendonly", "yes") as server:
        with TextClient(server.memcached_port) as text, RawClient(server.port) as resp:
            text.ask(CHANGES)
            assert resp.call("SAVE") == b"OK"
        server.stop()
        for tool, file in (("redis-check-aof", "appendonlydir/appendonly.aof.manifest"), ("redis-check-rdb", "dump.rdb")):
            done = subprocess.run([tool, f"{server.directory}/{file}"], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        check = subprocess.run([server.binary, "--check", server.directory], capture_output=True, text=True)
        assert check.returncode == 0, check.stdout + check.stderr
        assert "quartet-note" not in check.stdout
