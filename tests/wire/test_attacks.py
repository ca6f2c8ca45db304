"""What has brought down servers of this kind. README.md beside this file lists the classes, and where else they are tested."""

from __future__ import annotations

import pytest

from support.raw import Error, RawClient, encode, info, memory_of
from support.server import Server

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def locked():
    with Server("--requirepass", "secret", "--proto-max-bulk-len", "9223372036854775807") as server:
        yield server


class TestHugeCountsBeforeAuthentication:
    """None of these may make the server reserve what was only announced."""

    @pytest.mark.parametrize("head, error", [
        (b"*11\r\n", "unauthenticated multibulk length"),
        (b"*2147483647\r\n", "unauthenticated multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*9223372036854775807\r\n", "invalid multibulk length"),
        (b"*9223372036854775808\r\n", "invalid multibulk length"),
        (b"*18446744073709551617\r\n", "invalid multibulk length"),
        (b"*" + b"1" * 70000, "too big mbulk count string"),
        (b"*1\r\n$16385\r\n", "unauthenticated bulk length"),
        (b"*1\r\n$536870912\r\n", "unauthenticated bulk length"),
        (b"*1\r\n$9223372036854775807\r\n", "unauthenticated bulk length"),
        (b"*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$-9223372036854775808\r\n", "invalid bulk length"),
        (b"*1\r\n$" + b"1" * 70000, "too big bulk count string"),
        (b"x" * 70000, "too big inline request"),
    ])
    def test_end_the_connection(self, locked, head, error):
        before = memory_of(locked.process, "VmHWM")
        with RawClient(locked.port) as client:
            client.send_raw(head)
            assert client.read() == Error(f"ERR Protocol error: {error}")
            assert client.closed()
        assert memory_of(locked.process, "VmHWM") - before < MEGABYTE

    @pytest.mark.parametrize("head", [b"*2147483647\r\n", b"*1000000\r\n" + b"$0\r\n\r\n" * 100, b"*1\r\n$9223372036854775807\r\n",
                                      b"*1\r\n$536870912\r\n" + b"x" * 1000])
    def test_reserve_nothing_afterwards_either(self, locked, head):
        with RawClient(locked.port) as client, RawClient(locked.port) as watcher:
            assert watcher.call("AUTH", "secret") == b"OK"
            assert client.call("AUTH", "secret") == b"OK"
            before = memory_of(locked.process, "VmHWM")
            client.send_raw(head)
            client.send_raw(b"$" if head.endswith(b"\n") else b"x")
            for _ in range(10):
                assert watcher.call("PING") == b"PONG"
            # The read ahead of a long argument is room that nothing has been written into.
            assert memory_of(locked.process, "VmHWM") - before < MEGABYTE


class TestGlobPatterns:
    """A matcher that tries every way to divide the text among the stars would not come back."""

    TEXT = "a" * 1000
    PATTERNS = ["a*" * 500 + "b", "*a" * 500 + "*b", "*" * 1000 + "#", "a?*" * 300 + "b", "[a-b]*" * 100 + "c", "\\a*" * 300 + "b", "*[^b]" * 300 + "b"]

    @pytest.mark.parametrize("pattern", PATTERNS, ids=[pattern[:6] for pattern in PATTERNS])
    def test_exponential_cost(self, connect, pattern):
        client, subscriber = connect(), connect()
        client.call("FLUSHALL")
        client.call("SET", self.TEXT, "v")
        for key, command in (("set", "SADD"), ("hash", "HSET"), ("zset", "ZADD")):
            client.call(command, key, *{"set": [self.TEXT], "hash": [self.TEXT, "v"], "zset": ["1", self.TEXT]}[key])
        assert client.call("KEYS", pattern) == []
        assert client.call("SCAN", 0, "MATCH", pattern, "COUNT", 100) == [b"0", []]
        for key, command in (("set", "SSCAN"), ("hash", "HSCAN"), ("zset", "ZSCAN")):
            assert client.call(command, key, 0, "MATCH", pattern, "COUNT", 100) == [b"0", []]
        assert client.call("CONFIG", "GET", pattern) == []
        assert client.call("COMMAND", "LIST", "FILTERBY", "PATTERN", pattern) == []
        assert subscriber.call("PSUBSCRIBE", pattern) == [b"psubscribe", pattern.encode(), 1]
        assert client.call("PUBLISH", self.TEXT, "message") == 0
        assert client.call("PUBSUB", "CHANNELS", pattern) == []
        assert client.call("EVAL", "return #redis.call('KEYS', ARGV[1])", 0, pattern) == 0
        # What does match is found.
        assert self.TEXT.encode() in client.call("KEYS", pattern[:-1] + "*")


class TestMemoryOfScripts:
    @pytest.mark.parametrize("script", [
        "local s = string.rep('x', 1000000) while true do s = s .. s end",
        "return pcall(function() local s = string.rep('x', 1000000) while true do s = s .. s end end)",
        "local t = {} for i = 1, 1000 do t[i] = string.rep('x', 100000) .. i end return #t",
    ])
    def test_is_bounded_and_given_back(self, script):
        with Server() as server, RawClient(server.port, timeout=120) as client:
            client.call("EVAL", script, 0)
            assert int(info(client, "used_memory_lua")) < 64 * MEGABYTE
            assert memory_of(server.process, "VmHWM") < 1200 * MEGABYTE
            assert client.call("EVAL", "return 1", 0) == 1


def test_use_of_freed_values(connect):
    """Replies refer to long values where they lie: what the next requests do to those must not reach them."""
    client = connect()
    client.call("FLUSHALL")
    long, other = b"l" * 100_000, b"o" * 100_000
    client.send_raw(b"".join([
        encode("SET", "k", long), encode("GET", "k"), encode("DEL", "k"),
        encode("SET", "k", long), encode("GET", "k"), encode("APPEND", "k", "x" * 10), encode("SETRANGE", "k", 0, "changed"), encode("GET", "k"),
        encode("MULTI"), encode("SET", "k", long), encode("GET", "k"), encode("SET", "k", other), encode("GET", "k"), encode("FLUSHALL"), encode("EXEC"),
        encode("RPUSH", "list", long, other), encode("LRANGE", "list", 0, -1), encode("LPOP", "list"), encode("DEL", "list"),
        encode("SET", "k", long), encode("GETDEL", "k"),
        encode("SET", "k", long), encode("GETSET", "k", other), encode("SET", "k", "short"),
        encode("SET", "k", long), encode("EVAL", "local v = redis.call('GET', KEYS[1]) redis.call('FLUSHALL') return v", 1, "k")]))
    assert [client.read() for _ in range(3)] == [b"OK", long, 1]
    assert [client.read() for _ in range(5)] == [b"OK", long, 100_010, 100_010, b"changed" + long[7:] + b"x" * 10]
    assert [client.read() for _ in range(6)] == [b"OK"] + [b"QUEUED"] * 5
    assert client.read() == [b"OK", long, b"OK", other, b"OK"]
    assert [client.read() for _ in range(4)] == [2, [long, other], long, 1]
    assert [client.read() for _ in range(2)] == [b"OK", long]
    assert [client.read() for _ in range(3)] == [b"OK", long, b"OK"]
    assert [client.read() for _ in range(2)] == [b"OK", long]
