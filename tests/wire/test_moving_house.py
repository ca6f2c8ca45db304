"""A data directory of redis-server 7.0 moves in, is worked on, and moves out again, without a difference."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from support.dataset import CONFIGURATIONS, contents, fill
from support.raw import Error, RawClient, info
from support.server import Server, redis, server_binary
from support.wait import wait_for

# How the data come into files: options of both servers, and whether there is a rewrite before or within the changes.
WAYS = {
    "snapshot": ["--save", "3600 1"],
    "log": ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"],
    "rewritten log": ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"],
}
# What only redis-server can write.
THEIR_WAYS = {
    "log without RDB": ["--appendonly", "yes", "--aof-use-rdb-preamble", "no"],
    "log with timestamps": ["--appendonly", "yes", "--aof-timestamp-enabled", "yes"],
}

SCRIPT = """redis.call('SET', 'script', ARGV[1]); redis.call('RPUSH', 'script:list', unpack(ARGV));
            redis.call('SPOP', 'numbers:64'); redis.call('SELECT', '5'); redis.call('SET', 'elsewhere', ARGV[1]); return 1"""


def change(client: RawClient, database: int) -> None:
    """Commands of all families that change data, on what `fill` has made, alone and in units."""
    def run(*arguments) -> object:
        reply = client.call(*arguments)
        assert not isinstance(reply, Error), (arguments, reply)
        return reply

    run("SELECT", database)
    for line in """
        APPEND string:5 more | SETRANGE string:6 3 abc | INCR string:3 | DECRBY string:4 7 | INCRBYFLOAT float 1.25
        SET plain 1 EX 100000 | SET plain 2 KEEPTTL | GETEX string:7 PERSIST | GETDEL string:8 | MSET a 1 b 2 c 3 | SETNX d 4
        GETSET a 5 | SETEX e 100000 v | PSETEX f 100000000 v | MSETNX g 1 h 2 | SETBIT bits 1000 1 | BITOP NOT notbits bits
        BITFIELD field SET u8 0 200 INCRBY i16 16 -5 | SET short v PX 1 | SET gone v EXAT 1
        LPUSH list:7 a b | RPUSH list:7 c | LPOP list:8 2 | RPOP list:63 | LSET list:64 3 new | LINSERT list:65 BEFORE new x
        LTRIM list:127 5 -5 | LREM list:128 0 0 | LMOVE list:129 list:255 LEFT RIGHT | RPOPLPUSH list:256 list:moved
        LMPOP 2 nothing list:511 LEFT COUNT 3 | BLPOP list:512 1 | BLMOVE list:512 list:513 LEFT LEFT 1 | LPUSHX list:1000 p
        BRPOPLPUSH list:1000 list:513 1 | BLMPOP 1 1 list:1000 RIGHT | RPUSH made 3 1 2 | SORT made STORE sorted
        SADD set:7 a b | SREM numbers:8 3 | SPOP numbers:511 5 | SPOP set:129 | SMOVE numbers:512 numbers:513 77
        SUNIONSTORE union set:7 set:8 | SINTERSTORE inter numbers:1000 numbers:513 | SDIFFSTORE diff numbers:5000 numbers:1000
        SADD numbers:128 not-a-number | HSET hash:7 f v | HSETNX hash:7 g v | HDEL hash:7 f | HINCRBY counters n 5
        HINCRBYFLOAT counters x 0.5 | HMSET hash:8 a 1 b 2
        ZADD zset:7 5 m | ZADD zset:7 XX INCR 2.5 m | ZINCRBY zset:7 1e10 m | ZREM zset:7 m | ZPOPMIN zset:8 2 | ZPOPMAX zset:63
        ZREMRANGEBYRANK zset:64 0 3 | ZREMRANGEBYSCORE integral:65 -50 50 | ZADD lex 0 a 0 b 0 c 0 d | ZREMRANGEBYLEX lex [b [c
        ZUNIONSTORE zunion 2 zset:127 zset:128 | ZINTERSTORE zinter 2 integral:512 integral:513 | ZDIFFSTORE zdiff 2 zset:5000 zset:513
        ZRANGESTORE zrange integral:5000 10 2000 | BZPOPMIN zset:255 1 | BZPOPMAX zset:256 1 | ZMPOP 1 zset:257 MIN
        BZMPOP 1 1 zset:511 MAX COUNT 2 | COPY list:5000 copied | RENAME hash:5000 renamed | RENAMENX hash:1000 renamed2
        PERSIST list:128 | EXPIRE set:65 100000 | PEXPIREAT hash:65 4000000000777 | EXPIREAT zset:65 4000000000
        EXPIRE numbers:65 -1 | PEXPIRE numbers:64 100000000 | DEL wide:7 wide:8 | UNLINK wide:5000 | TOUCH wide:63
        MOVE wide:64 5 | COPY wide:65 wide:65 DB 5 REPLACE | SET "" empty-key""".replace("\n", " | ").split(" | "):
        if line.strip():
            run(*(part.replace('""', "") for part in line.split()))
    payload = run("DUMP", "list:255")
    run("RESTORE", "restored", 4_000_000_000_999, payload, "ABSTTL", "REPLACE")
    run("MULTI")
    for words in (["SET", "unit", "1"], ["INCR", "unit"], ["SPOP", "set:255", "3"], ["SELECT", "5"], ["LPUSH", "unit:list", "x"],
                  ["SELECT", database], ["EXPIRE", "unit", "100000"]):
        run(*words)
    assert len(run("EXEC")) == 7
    run("EVAL", SCRIPT, 0, "1", "two", "\r\n3")
    wait_for(lambda: run("EXISTS", "short") == 0, "the short-lived key is gone")


def work(client: RawClient, database: int) -> None:
    """Each of the databases that `fill` has filled can be worked on once."""
    change(client, database)
    client.call("SELECT", 5)
    assert client.call("DBSIZE") > 0
    assert client.call("SWAPDB", 5, 6) == b"OK"
    client.call("SELECT", 7)
    client.call("SET", "flushed", "v")
    assert client.call("FLUSHDB") == b"OK"


def rewrite(client: RawClient) -> None:
    assert not isinstance(client.call("BGREWRITEAOF"), Error)
    wait_for(lambda: info(client, "aof_rewrite_in_progress") == "0" and info(client, "aof_rewrite_scheduled") == "0", "it is rewritten")
    assert info(client, "aof_last_bgrewrite_status") == "ok"


@contextlib.contextmanager
def moved_in(server: Server, source: str | None) -> Iterator[RawClient]:
    """The server on a copy of the data in a directory, when it has loaded them. It ends in order, and its files stay."""
    if source:
        shutil.copytree(source, server.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("log", "quartet.lock"))
    server.start()
    with RawClient(server.port, timeout=60) as client:
        wait_for(lambda: not isinstance(client.call("DBSIZE"), Error), "the data are loaded")
        yield client
    server.stop()
    assert server.process.returncode == 0, server.read_log()


def accepted(server: Server, way: str) -> None:
    """What a server has left is whole, as both kinds of tools say."""
    directory = pathlib.Path(server.directory)
    if way == "snapshot":
        tool = ["redis-check-rdb", directory / "dump.rdb"]
    else:
        tool = ["redis-check-aof", directory / "appendonlydir" / "appendonly.aof.manifest"]
    for command in (tool, [server_binary(), "--check", directory]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


def moves(way: str, theirs: list, ours: list) -> None:
    options = ["--databases", "10"]
    first, middle, last = redis(*options, *theirs), Server(*options, *ours), redis(*options, *ours, "--sanitize-dump-payload", "yes")
    try:
        with moved_in(first, None) as client:
            fill(client)
            if way == "rewritten log":
                rewrite(client)
            work(client, 0)
            before = contents(client, range(10))
        accepted(first, way)
        with moved_in(middle, first.directory) as client:
            assert contents(client, range(10)) == before
            work(client, 1)
            if way == "rewritten log":
                rewrite(client)
            work(client, 9)
            between = contents(client, range(10))
        assert between != before
        accepted(middle, way)
        with moved_in(last, middle.directory) as client:
            assert contents(client, range(10)) == between
        # And once more what it has written itself.
        again = Server(*options, *ours)
        try:
            with moved_in(again, middle.directory) as client:
                assert contents(client, range(10)) == between
        finally:
            again.stop()
            again.remove()
    finally:
        for server in (first, middle, last):
            if server.process:
                server.stop()
            server.remove()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_data_move_in_and_out(configuration, way):
    moves(way, [*CONFIGURATIONS[configuration], *WAYS[way]], WAYS[way])


@pytest.mark.parametrize("way", THEIR_WAYS)
def test_logs_that_only_redis_writes(way):
    moves(way, THEIR_WAYS[way], WAYS["log"])


def test_a_base_that_redis_took_over_from_an_older_version():
    """Before version 7 the log was one file, RDB and then commands. 7.0 goes on with it as the base."""
    options = ["--appendonly", "yes"]
    first, second, ours = redis(*options), redis(*options), Server(*options)
    try:
        with moved_in(first, None) as client:
            assert client.call("SET", "in", "RDB") == b"OK"
            rewrite(client)
            assert client.call("SET", "behind", "RDB") == b"OK"
        parts = pathlib.Path(first.directory, "appendonlydir")
        old = b"".join(next(parts.glob(name)).read_bytes() for name in ("*.base.rdb", "*.incr.aof"))
        pathlib.Path(second.directory, "appendonly.aof").write_bytes(old)
        with moved_in(second, None) as client:
            assert client.call("SET", "later", "1") == b"OK"
            before = contents(client, [0])
        assert len(before) == 3
        base = pathlib.Path(second.directory, "appendonlydir", "appendonly.aof")
        assert base.read_bytes() == old
        accepted(second, "log")
        with moved_in(ours, second.directory) as client:
            assert contents(client, [0]) == before
    finally:
        for server in (first, second, ours):
            if server.process:
                server.stop()
            server.remove()
