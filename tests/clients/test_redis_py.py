"""redis-py in both protocols: locks, pipelines, pub/sub, scripts, blocking, types, clients, pools, asyncio.

test_redis_py_5.py runs this same file with the older redis-py 5.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import math
import os
import struct
import threading
import time

import msgpack
import pytest
import redis
import redis.asyncio
from redis.exceptions import (ExecAbortError, LockError, LockNotOwnedError, NoScriptError, ResponseError, WatchError)

from support.wait import wait_for

WAIT = 20  # seconds that a blocking command may take on a busy machine before a test fails


@pytest.fixture(scope="session", autouse=True)
def expected_version():
    """Fails, rather than testing the wrong package, when test_redis_py_5.py has not got what it asked for."""
    assert redis.__version__.startswith(os.environ.get("EXPECTED_REDIS_PY", ""))


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def protocol(request):
    return request.param


@pytest.fixture
def connect(server, protocol):
    """Makes clients that are closed after the test."""
    clients = []

    def make(**options) -> redis.Redis:
        clients.append(redis.Redis(port=server.port, protocol=protocol, decode_responses=True, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect):
    client = connect()
    client.flushall()
    return client


@pytest.fixture
def background():
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        yield threads


def blocked(client, count: int = 1) -> None:
    wait_for(lambda: client.info("clients")["blocked_clients"] == count, f"{count} clients are blocked")


# Types

def test_protocol(client, protocol):
    assert client.ping() is True
    assert client.echo("hello") == "hello"
    assert client.execute_command("CLIENT", "INFO").count(f" resp={protocol}") == 1
    seconds, microseconds = client.time()
    assert abs(seconds - time.time()) < 60 and 0 <= microseconds < 1_000_000


def test_strings(client):
    assert client.set("key", "value") is True
    assert client.set("key", "other", nx=True) is None
    assert client.set("key", "new", get=True) == "value"
    assert client.get("absent") is None
    assert client.mget("key", "absent") == ["new", None]
    assert client.incrbyfloat("float", 0.1) == 0.1
    assert client.getdel("key") == "new"
    assert client.append("text", "abc") == 3 and client.getrange("text", 1, -1) == "bc"
    assert client.setbit("bits", 7, 1) == 0 and client.bitcount("bits") == 1
    assert client.lcs("text", "absent", len=True) == 0


def test_expiry(client):
    client.set("key", 1, ex=100)
    assert 95 <= client.ttl("key") <= 100 and 95_000 < client.pttl("key") <= 100_000
    assert client.expire("key", 50, gt=True) is False and client.expire("key", 50, lt=True) is True
    assert abs(client.expiretime("key") - time.time() - 50) < 5
    assert client.getex("key", persist=True) == "1" and client.ttl("key") == -1
    client.set("key", 2, px=100_000)
    client.set("key", 3, keepttl=True)
    assert client.ttl("key") > 90
    assert client.ttl("absent") == -2


def test_maps(client):
    assert client.hset("hash", mapping={"a": 1, "b": "two"}) == 2
    assert client.hgetall("hash") == {"a": "1", "b": "two"}
    assert client.hgetall("absent") == {}
    assert client.hmget("hash", "a", "absent") == ["1", None]
    assert client.hincrbyfloat("hash", "a", 1.5) == 2.5
    assert client.hexists("hash", "b") is True
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_sets(client):
    client.sadd("one", "a", "b", "c")
    client.sadd("two", "b", "c", "d")
    assert client.smembers("one") == {"a", "b", "c"}
    assert set(client.sinter("one", "two")) == {"b", "c"} and set(client.sdiff("one", "two")) == {"a"}
    assert client.sintercard(2, ["one", "two"]) == 2
    assert [bool(found) for found in client.smismember("one", "a", "z")] == [True, False]
    assert client.sismember("one", "a") == 1


def test_sorted_sets(client):
    client.zadd("scores", {"low": -math.inf, "mid": 0.1 + 0.2, "high": 1e300, "top": math.inf})
    pairs = [tuple(pair) for pair in client.zrange("scores", 0, -1, withscores=True)]
    assert pairs == [("low", -math.inf), ("mid", 0.1 + 0.2), ("high", 1e300), ("top", math.inf)]
    assert all(type(score) is float for _, score in pairs)
    assert client.zscore("scores", "mid") == 0.1 + 0.2 and client.zscore("scores", "absent") is None
    assert client.zmscore("scores", ["mid", "absent"]) == [0.1 + 0.2, None]
    assert client.zincrby("scores", 1, "mid") == 1.3
    assert client.zrangebyscore("scores", "(0", "+inf") == ["mid", "high", "top"]
    assert client.zrange("scores", "+inf", "(1.3", byscore=True, desc=True, offset=0, num=1) == ["top"]
    assert client.zadd("scores", {"mid": 1}, gt=True, ch=True) == 0
    assert client.zadd("scores", {"mid": 1}, incr=True) == 2.3
    popped = client.zpopmin("scores", 1)
    assert [tuple(pair) for pair in popped] == [("low", -math.inf)]
    assert client.zrank("scores", "high") == 1


def test_info(client):
    information = client.info()
    assert information["redis_version"].startswith("7.") and information["process_id"] > 0
    for name in ("used_memory", "used_memory_peak", "connected_clients", "uptime_in_seconds", "keyspace_hits",
                 "keyspace_misses", "total_commands_processed", "total_connections_received", "tcp_port"):
        assert isinstance(information[name], int), name
    client.set("key", 1, ex=100)
    keyspace = client.info("keyspace")["db0"]
    assert keyspace["keys"] == 1 and keyspace["expires"] == 1 and 0 <= keyspace["avg_ttl"] <= 100_000
    client.set("key", 1, ex=100)
    assert client.info("commandstats")["cmdstat_set"]["calls"] >= 2
    assert client.command_count() > 150
    assert client.command_getkeys("MSET", "a", 1, "b", 2) == ["a", "b"]


def test_errors(client):
    client.set("text", "value")
    with pytest.raises(ResponseError, match="^WRONGTYPE Operation against a key holding the wrong kind of value$"):
        client.lpush("text", 1)
    with pytest.raises(ResponseError, match="value is not an integer or out of range"):
        client.incr("text")
    with pytest.raises(ResponseError, match="^unknown command 'NONSENSE', with args beginning with: 'a' $"):
        client.execute_command("NONSENSE", "a")


def test_iteration(client):
    with client.pipeline(transaction=False) as pipeline:
        for number in range(1500):
            pipeline.set(f"key:{number}", number)
            pipeline.hset("hash", f"field:{number}", number)
            pipeline.sadd("set", number)
            pipeline.zadd("zset", {number: number / 2})
        pipeline.execute()
    assert set(client.scan_iter("key:*", count=100)) == {f"key:{number}" for number in range(1500)}
    assert set(client.scan_iter(_type="zset")) == {"zset"}
    assert dict(client.hscan_iter("hash")) == {f"field:{number}": str(number) for number in range(1500)}
    assert {int(member) for member in client.sscan_iter("set", count=50)} == set(range(1500))
    found = {int(member): score for member, score in client.zscan_iter("zset")}
    assert found == {number: number / 2 for number in range(1500)}


# Locks

def test_lock(client):
    with client.lock("lock", timeout=10) as lock:
        assert lock.owned() and 0 < client.pttl("lock") <= 10_000
        assert not client.lock("lock", timeout=10).acquire(blocking=False)
        assert lock.extend(50) and client.pttl("lock") > 50_000
        assert lock.reacquire() and client.pttl("lock") <= 10_000
    assert not client.exists("lock")
    with pytest.raises(LockError):
        lock.release()


def test_lost_lock_is_noticed(client):
    lock = client.lock("lock", timeout=10)
    lock.acquire()
    client.set("lock", "somebody else")
    for attempt in (lock.release, lambda: lock.extend(1), lock.reacquire):
        with pytest.raises(LockNotOwnedError):
            lock.local.token = b"an old token"
            attempt()
    assert client.get("lock") == "somebody else"


def test_lock_keeps_others_out(client, background):
    inside = []

    def work():
        for _ in range(10):
            with client.lock("lock", timeout=WAIT, sleep=0.001, blocking_timeout=WAIT):
                value = int(client.get("counter") or 0)
                inside.append(value)
                client.set("counter", value + 1)

    for future in [background.submit(work) for _ in range(4)]:
        future.result(WAIT)
    assert inside == list(range(40))


# Pipelines and transactions

@pytest.mark.parametrize("transaction", [True, False])
def test_pipeline(client, transaction):
    with client.pipeline(transaction=transaction) as pipeline:
        pipeline.set("key", 1).incr("key").hset("hash", "a", 1).hgetall("hash").zadd("zset", {"m": 1.5})
        pipeline.zrange("zset", 0, -1, withscores=True).get("absent").smembers("absent")
        replies = pipeline.execute()
    assert replies[:5] == [True, 2, 1, {"a": "1"}, 1]
    assert [tuple(pair) for pair in replies[5]] == [("m", 1.5)]
    assert replies[6:] == [None, set()]


@pytest.mark.parametrize("transaction", [True, False])
def test_error_in_the_middle_of_a_pipeline(client, transaction):
    client.set("text", "value")
    with client.pipeline(transaction=transaction) as pipeline:
        pipeline.set("before", 1).lpush("text", 1).set("after", 1)
        replies = pipeline.execute(raise_on_error=False)
    assert replies[0] is True and isinstance(replies[1], ResponseError) and replies[2] is True
    assert client.exists("before", "after") == 2


def test_error_while_queueing(client):
    with client.pipeline() as pipeline:
        pipeline.set("key", 1).execute_command("SET", "too few")
        with pytest.raises(ResponseError, match="wrong number of arguments for 'set' command"):
            pipeline.execute()
    assert not client.exists("key")
    client.execute_command("PING")
    with client.client() as single:
        single.execute_command("MULTI")
        with pytest.raises(ResponseError):
            single.execute_command("NONSENSE")
        with pytest.raises(ExecAbortError):
            single.execute_command("EXEC")


def test_long_pipeline(client):
    with client.pipeline(transaction=False) as pipeline:
        for number in range(20_000):
            pipeline.rpush("list", number)
        assert pipeline.execute() == list(range(1, 20_001))
    assert client.lrange("list", 0, -1) == [str(number) for number in range(20_000)]


def test_watch(client, connect):
    with client.pipeline() as pipeline:
        pipeline.watch("key")
        connect().set("key", "changed by another")
        pipeline.multi()
        pipeline.set("key", "mine")
        with pytest.raises(WatchError):
            pipeline.execute()
        assert client.get("key") == "changed by another"
        pipeline.watch("key")
        value = pipeline.get("key")
        pipeline.multi()
        pipeline.set("key", value + "!")
        assert pipeline.execute() == [True]
        pipeline.watch("key")
        connect().set("key", 2)
        pipeline.unwatch()
        pipeline.multi()
        assert pipeline.get("key").execute() == ["2"]


def test_watch_race(client, background):
    """Many optimistic writers, none of whose increments is lost."""
    def increment(pipeline):
        value = int(pipeline.get("counter") or 0)
        pipeline.multi()
        pipeline.set("counter", value + 1)

    def work():
        for _ in range(25):
            client.transaction(increment, "counter")

    for future in [background.submit(work) for _ in range(4)]:
        future.result(WAIT)
    assert client.get("counter") == "100"


# Pub/sub

def message(pubsub) -> tuple:
    """The next message that is not the confirmation of a subscription."""
    received = wait_for(lambda: pubsub.get_message(ignore_subscribe_messages=True, timeout=0.2), "a message")
    return received["type"], received["pattern"], received["channel"], received["data"]


def confirmed(pubsub, count: int) -> list[tuple]:
    """The next `count` confirmations of (un)subscriptions."""
    received = [wait_for(lambda: pubsub.get_message(timeout=0.2), "a confirmation") for _ in range(count)]
    return [(one["type"], one["channel"], one["data"]) for one in received]


def test_channels_and_patterns(client, protocol):
    with client.pubsub() as pubsub:
        pubsub.subscribe("news", "weather")
        pubsub.psubscribe("n*")
        assert sorted(confirmed(pubsub, 3)) == [("psubscribe", "n*", 3), ("subscribe", "news", 1),
                                                ("subscribe", "weather", 2)]
        assert client.pubsub_numsub("news", "nothing") == [("news", 1), ("nothing", 0)]
        assert client.pubsub_numpat() == 1
        assert sorted(client.pubsub_channels()) == ["news", "weather"]
        assert client.publish("news", "one") == 2
        assert sorted([message(pubsub), message(pubsub)], key=lambda each: each[0]) == [
            ("message", None, "news", "one"), ("pmessage", "n*", "news", "one")]
        pubsub.unsubscribe("news")
        pubsub.punsubscribe()
        assert sorted(confirmed(pubsub, 2)) == [("punsubscribe", "n*", 1), ("unsubscribe", "news", 2)]
        if protocol == 2:  # In RESP3 the reply is not a message, and redis-py does not hand it out.
            pubsub.ping("are you there")
            assert message(pubsub) == ("pong", None, None, "are you there")
        assert client.publish("news", "nobody") == 0
        pubsub.unsubscribe()
        assert confirmed(pubsub, 1) == [("unsubscribe", "weather", 0)]


def test_sharded_channels(client):
    with client.pubsub() as pubsub:
        pubsub.ssubscribe("shard")
        assert confirmed(pubsub, 1) == [("ssubscribe", "shard", 1)]
        assert client.pubsub_shardchannels() == ["shard"]
        assert client.execute_command("SPUBLISH", "shard", "hello") == 1
        assert client.publish("shard", "another world") == 0
        received = wait_for(lambda: pubsub.get_sharded_message(timeout=0.2) if hasattr(pubsub, "get_sharded_message")
                            else pubsub.get_message(timeout=0.2), "a sharded message")
        assert (received["type"], received["data"]) == ("smessage", "hello")
        pubsub.sunsubscribe("shard")
        assert confirmed(pubsub, 1) == [("sunsubscribe", "shard", 0)]


def test_handlers_in_a_thread(client):
    received = []
    heard = threading.Event()

    def handle(message):
        received.append(message["data"])
        if len(received) == 500:
            heard.set()

    with client.pubsub() as pubsub:
        pubsub.subscribe(news=handle)
        thread = pubsub.run_in_thread(sleep_time=0.01)
        wait_for(lambda: client.pubsub_numsub("news")[0][1] == 1, "the thread has subscribed")
        with client.pipeline(transaction=False) as pipeline:
            for number in range(500):
                pipeline.publish("news", number)
            assert pipeline.execute() == [1] * 500
        assert heard.wait(WAIT)
        thread.stop()
        thread.join(WAIT)
    assert received == [str(number) for number in range(500)]


# Scripts

def test_registered_script(client):
    script = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    assert script(keys=["key"], args=[5]) == 5
    client.script_flush()
    assert script(keys=["key"], args=[5]) == 10, "a script that the server has forgotten is loaded again"
    assert client.script_exists(script.sha, "0" * 40) == [True, False]
    with client.pipeline() as pipeline:
        script(keys=["key"], args=[1], client=pipeline)
        pipeline.get("key")
        client.script_flush()
        assert pipeline.execute() == [11, "11"]


def test_script_errors(client):
    with pytest.raises(NoScriptError, match="No matching script"):
        client.evalsha("0" * 40, 0)
    with pytest.raises(ResponseError, match="my own error"):
        client.eval("return redis.error_reply('MY my own error')", 0)
    client.set("text", "value")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        client.eval("return redis.call('lpush', KEYS[1], 1)", 1, "text")
    assert "WRONGTYPE" in client.eval("return redis.pcall('lpush', KEYS[1], 1).err", 1, "text")
    with pytest.raises(ResponseError, match="Error compiling script"):
        client.eval("this is not Lua", 0)
    with pytest.raises(ResponseError, match="attempted to access nonexistent global variable 'undeclared'"):
        client.eval("return undeclared", 0)


def test_script_replies(client):
    assert client.eval("return {1, 2.9, 'text', {3, {4}}, false, true, 'never', nil, 'seen'}", 0) == [
        1, 2, "text", [3, [4]], None, 1, "never"]
    assert client.eval("return redis.status_reply('FINE')", 0) == "FINE"
    assert client.eval("return redis.call('get', 'absent')", 0) is None
    assert client.eval("return redis.call('get', 'absent') == false", 0) == 1
    client.hset("hash", "a", 1)
    assert client.eval("return redis.call('hgetall', 'hash')", 0) == ["a", "1"], "scripts see RESP2"
    client.zadd("zset", {"m": 1.5})
    assert client.eval("return redis.call('zrange', 'zset', 0, -1, 'withscores')", 0) == ["m", "1.5"]
    assert client.eval("return #KEYS .. ':' .. #ARGV", 2, "a", "b", "c") == "2:1"
    assert client.eval_ro("return redis.call('exists', KEYS[1])", 1, "hash") == 1


def test_lua_libraries(server, protocol):
    """What the libraries of a script make is read by Python's own, and the other way round."""
    value = {"name": "ünï", "list": [1, 2.5, True, None, {"deep": "x"}], "big": 2**31 + 5}
    with redis.Redis(port=server.port, protocol=protocol) as raw:
        packed = raw.eval("return cmsgpack.pack(cjson.decode(ARGV[1]))", 0, json.dumps(value))
        assert msgpack.unpackb(packed) == value
        plain = {"name": "x", "list": [1, 2, {"deep": [True, -70000]}]}
        assert json.loads(raw.eval("return cjson.encode(cmsgpack.unpack(ARGV[1]))", 0, msgpack.packb(plain))) == plain
        assert raw.eval("return {cmsgpack.unpack(cmsgpack.pack(1, 'two', {3}))}", 0) == [1, b"two", [3]]

        assert raw.eval("return struct.pack('>I2Hi4', 1, 2, -3)", 0) == struct.pack(">HHi", 1, 2, -3)
        assert raw.eval("return {struct.unpack('<i4Bs', ARGV[1])}", 0, struct.pack("<iB", -7, 255) + b"text\0") == [
            -7, 255, b"text", 11]
        assert raw.eval("return struct.size('<i8d')", 0) == struct.calcsize("<qd")

        left, right = 0x12345678, 0x0F0F0F0F
        assert raw.eval("local a, b = tonumber(ARGV[1]), tonumber(ARGV[2]) "
                        "return {bit.band(a, b), bit.bor(a, b), bit.bxor(a, b), bit.lshift(a, 3), bit.rshift(a, 3), "
                        "bit.bnot(a), bit.tohex(a)}", 0, left, right) == [
            left & right, left | right, left ^ right, struct.unpack("<i", struct.pack("<I", left << 3 & 0xFFFFFFFF))[0],
            left >> 3, ~left, b"12345678"]
        assert raw.eval("return redis.sha1hex('')", 0) == b"da39a3ee5e6b4b0d3255bfef95601890afd80709"
        assert raw.eval("return {cjson.encode({}), cjson.encode({1, cjson.null}), tostring(cjson.decode('1e2'))}", 0) == [
            b"{}", b"[1,null]", b"100"]


# Blocking

def test_blocking_pops_give_up(client):
    begin = time.monotonic()
    assert client.blpop(["a", "b"], timeout=0.1) is None
    assert client.brpop("a", timeout=0.1) is None
    assert client.blmove("a", "b", 0.1) is None
    assert client.bzpopmin("z", timeout=0.1) is None
    assert client.blmpop(0.1, 2, "a", "b", direction="LEFT") is None
    assert time.monotonic() - begin >= 0.5


def test_blocking_pops_are_woken(client, background):
    waits = [
        (lambda: client.blpop(["a", "b"], timeout=WAIT), lambda: client.rpush("b", 1, 2), ("b", "1")),
        (lambda: client.brpop(["c"], timeout=WAIT), lambda: client.lpush("c", 1, 2), ("c", "1")),
        (lambda: client.blmove("d", "e", WAIT), lambda: client.rpush("d", "x"), "x"),
        (lambda: client.brpoplpush("f", "g", WAIT), lambda: client.rpush("f", "y"), "y"),
        (lambda: client.bzpopmin("h", timeout=WAIT), lambda: client.zadd("h", {"m": 1.5}), ("h", "m", 1.5)),
        (lambda: client.blmpop(WAIT, 1, "i", direction="LEFT", count=2), lambda: client.rpush("i", 1, 2, 3),
         ("i", ["1", "2"])),
    ]
    for wait, push, expected in waits:
        future = background.submit(wait)
        blocked(client)
        push()
        reply = future.result(WAIT)
        assert (tuple(reply) if isinstance(reply, list) else reply) == expected
    assert client.lrange("e", 0, -1) == ["x"] and client.lrange("g", 0, -1) == ["y"]


def test_first_come_first_served(client, background):
    futures = []
    for number in range(3):
        futures.append(background.submit(client.blpop, "queue", WAIT))
        blocked(client, number + 1)
    client.rpush("queue", "first", "second", "third")
    assert [future.result(WAIT)[1] for future in futures] == ["first", "second", "third"]


# Clients and pools

def test_client_list_and_kill(client, connect):
    other = connect(client_name="victim")
    identity = other.client_id()
    assert other.client_getname() == "victim"
    entry, = [each for each in client.client_list() if each["name"] == "victim"]
    assert int(entry["id"]) == identity and entry["db"] == "0" and entry["cmd"] == "client|getname"
    for field in ("addr", "laddr", "fd", "age", "idle", "flags", "sub", "psub", "multi", "qbuf", "omem", "tot-mem",
                  "events", "user", "redir"):
        assert field in entry, field
    assert [each["name"] for each in client.client_list(client_id=[str(identity)])] == ["victim"]
    assert client.client_kill_filter(_id=identity) == 1
    assert other.ping(), "the pool replaces a connection that was killed"
    assert other.client_id() > identity
    address = [each["addr"] for each in client.client_list() if each["name"] == "victim"][0]
    assert client.client_kill(address) is True
    client.client_setname("renamed")
    assert client.client_info()["name"] == "renamed"


def test_client_pause(client, connect, background):
    """While writes are paused, reads are answered and a write waits for the end of the pause."""
    other = connect()
    assert client.client_pause(60_000, all=False)
    assert other.get("key") is None
    write = background.submit(other.set, "key", "written")
    wait_for(lambda: any(each["cmd"] == "set" and "b" in each["flags"] for each in client.client_list()),
             "the write waits")
    assert not write.done()
    assert client.client_unpause()
    assert write.result(WAIT) is True


def test_client_unblock(client, connect, background):
    other = connect(client_name="waiting")
    future = background.submit(other.blpop, "queue", WAIT)
    blocked(client)
    entry, = [each for each in client.client_list() if each["name"] == "waiting"]
    assert entry["cmd"] == "blpop" and "b" in entry["flags"]
    assert client.client_unblock(int(entry["id"]))
    assert future.result(WAIT) is None


def test_health_check(server, protocol):
    with redis.Redis(port=server.port, protocol=protocol, health_check_interval=3600) as client:
        client.ping()

        def pings():
            return client.info("commandstats")["cmdstat_ping"]["calls"]
        before = pings()
        connection = client.connection_pool.get_connection()
        connection.next_health_check = 0  # as if the interval had passed
        client.connection_pool.release(connection)
        assert pings() == before + 1


def test_pools(server, protocol, background):
    pool = redis.BlockingConnectionPool(port=server.port, protocol=protocol, max_connections=3, timeout=WAIT)
    with redis.Redis(connection_pool=pool) as client:
        client.delete("counter")
        futures = [background.submit(client.incr, "counter") for _ in range(200)]
        assert sorted(future.result(WAIT) for future in futures) == list(range(1, 201))
    pool.disconnect()
    bounded = redis.ConnectionPool(port=server.port, protocol=protocol, max_connections=1)
    with redis.Redis(connection_pool=bounded) as client, client.pipeline() as pipeline:
        pipeline.watch("key")
        with pytest.raises(redis.ConnectionError):
            client.ping()
    bounded.disconnect()


def test_databases(client, connect):
    second = connect(db=2)
    second.set("key", "second")
    client.set("key", "first")
    assert second.dbsize() == 1
    assert client.swapdb(0, 2) and client.get("key") == "second"
    assert client.move("key", 3) and connect(db=3).get("key") == "second"
    assert second.flushdb() and second.dbsize() == 0


# asyncio

def test_asyncio(server, protocol):
    async def main():
        async with redis.asyncio.Redis(port=server.port, protocol=protocol, decode_responses=True) as client:
            await client.flushall()
            assert await asyncio.gather(*(client.incr("counter") for _ in range(100))) is not None
            assert await client.get("counter") == "100"
            async with client.pipeline(transaction=True) as pipeline:
                assert await pipeline.set("key", 1).incr("key").execute() == [True, 2]
            async with client.lock("lock", timeout=WAIT):
                assert await client.exists("lock")
            waiting = asyncio.create_task(client.blpop(["queue"], timeout=WAIT))
            while (await client.info("clients"))["blocked_clients"] == 0:
                await asyncio.sleep(0.01)
            await client.rpush("queue", "item")
            assert tuple(await waiting) == ("queue", "item")
            async with client.pubsub() as pubsub:
                await pubsub.subscribe("news")
                assert (await pubsub.get_message(timeout=WAIT))["type"] == "subscribe"
                await client.publish("news", "hello")
                assert (await pubsub.get_message(timeout=WAIT))["data"] == "hello"
    asyncio.run(asyncio.wait_for(main(), 2 * WAIT))
