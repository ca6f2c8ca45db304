"""An allocation that fails is answered by an error; the server goes on, and has changed nothing by halves."""

from __future__ import annotations

import resource
import signal

import pytest

from support.raw import Error, RawClient, encode
from support.server import Server

ROOM = 128 * 1024 * 1024  # bytes of address space that the server may still take
TOO_MUCH = 400_000_000
TERABYTE = 1 << 40


def address_space(server: Server) -> int:
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


@pytest.fixture
def narrow():
    """A server that cannot have much more memory than it has."""
    with Server("--appendonly", "yes", "--appendfsync", "always") as server:
        used = address_space(server)
        if used > TERABYTE:
            pytest.skip("sanitizers take all address space for themselves")
        limit = used + ROOM
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, limit))
        yield server


def fails(client: RawClient, *words) -> None:
    reply = client.call(*words)
    assert isinstance(reply, Error) and reply.startswith(("OOM ", "ERR ")), (words, reply)


def test_commands_that_want_too_much(narrow):
    with RawClient(narrow.port) as client, RawClient(narrow.port) as other:
        assert client.call("SET", "small", "value") == b"OK"
        assert client.call("SET", "a", "ab" * 11_000) == b"OK"
        assert client.call("SET", "b", "ba" * 11_000) == b"OK"
        for words in (
            ("SETRANGE", "new", TOO_MUCH, "x"),
            ("SETRANGE", "small", TOO_MUCH, "x"),
            ("SETBIT", "new", TOO_MUCH * 8, "1"),
            ("LCS", "a", "b"),
            ("EVAL", f"return redis.call('setrange', 'new', {TOO_MUCH}, 'x')", "0"),
            ("EVAL", f"return string.rep('x', {TOO_MUCH})", "0"),
        ):
            fails(client, *words)
            assert client.call("PING") == b"PONG"
            assert other.call("GET", "small") == b"value"
        assert client.call("MULTI") == b"OK"
        for words in (("INCR", "n"), ("SETRANGE", "new", TOO_MUCH, "x"), ("INCR", "n")):
            assert client.call(*words) == b"QUEUED"
        replies = client.call("EXEC")
        assert replies[0] == 1 and isinstance(replies[1], Error) and replies[2] == 2
        assert client.call("DBSIZE") == 4
    narrow.stop(signal.SIGKILL)
    narrow.start()
    with RawClient(narrow.port) as client:
        assert client.call("MGET", "small", "n", "new") == [b"value", b"2", None]


def test_a_request_that_there_is_no_memory_for(narrow):
    with RawClient(narrow.port) as other:
        client = RawClient(narrow.port)
        try:
            client.send_raw(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n" % TOO_MUCH)
            piece = b"x" * (4 * 1024 * 1024)
            for _ in range(TOO_MUCH // len(piece)):
                client.send_raw(piece)
            pytest.fail("the request was taken in")
        except OSError:
            pass  # disconnected
        finally:
            client.close()
        assert other.call("PING") == b"PONG"
        assert other.call("EXISTS", "big") == 0


def test_more_and_more_until_nothing_is_left(narrow):
    """The data themselves use the memory up. Every write is answered, by OK or an error, and reads go on."""
    with RawClient(narrow.port) as client:
        stored = refused = 0
        while refused < 20 and stored < 10_000:
            client.send_raw(encode("SET", f"key:{stored}", b"x" * 50_000))
            if isinstance(client.read(), Error):
                refused += 1
            else:
                stored += 1
        assert refused == 20
        assert client.call("DBSIZE") == stored
        assert client.call("STRLEN", f"key:{stored - 1}") == 50_000
        assert client.call("DEL", *(f"key:{i}" for i in range(100))) == 100
        assert client.call("PING") == b"PONG"
