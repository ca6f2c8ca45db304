"""Budgets of databases and the limit of the whole server, under load and with threads that free memory."""

from __future__ import annotations

import pytest

from support.raw import Error, RawClient, encode, info
from support.server import Server
from support.wait import wait_for

MEGABYTE = 1024 * 1024
BUDGET = 8 * MEGABYTE
SETTINGS = f"""
[[database]]
index = 0
name = "broker"

[[database]]
index = 1
name = "cache"
maxmemory = {BUDGET}
maxmemory-policy = "allkeys-lru"

[[database]]
index = 2
name = "sessions"
"""


@pytest.fixture
def server():
    with Server(settings=SETTINGS) as server:
        yield server


def used_by_database(client: RawClient, database: int) -> int:
    """What it takes for one key more or less than its size, by the sizes of all its keys and its table."""
    client.call("SELECT", database)
    stats = client.call("MEMORY", "STATS")
    fields = dict(zip(stats[::2], stats[1::2]))
    table = dict(zip(fields[b"db.%d" % database][::2], fields[b"db.%d" % database][1::2]))[b"overhead.hashtable.main"]
    cursor, total = b"0", table
    while True:
        cursor, keys = client.call("SCAN", cursor, "COUNT", "1000")
        total += sum(client.call("MEMORY", "USAGE", key) for key in keys)
        if cursor == b"0":
            return total


def test_a_cache_that_is_written_ten_times_over_takes_nothing_from_the_others(server):
    with RawClient(server.port) as cache, RawClient(server.port) as other:
        for database in (0, 2):
            other.call("SELECT", database)
            for i in range(1000):
                other.call("SET", f"key:{i}", "x" * 100)
        other.call("SELECT", 0)
        cache.call("SELECT", "cache")
        batch = 500
        for start in range(0, 10 * BUDGET // 1000, batch):
            cache.send_raw(b"".join(encode("SET", f"key:{i}", "x" * 1000) for i in range(start, start + batch)))
            # The broker is used meanwhile.
            assert other.call("LPUSH", "queue", start) == 1
            assert other.call("RPOP", "queue") == str(start).encode()
            assert {cache.read() for _ in range(batch)} == {b"OK"}
        assert other.call("DBSIZE") == 1000
        other.call("SELECT", 2)
        assert other.call("DBSIZE") == 1000
        assert 0.95 * BUDGET < used_by_database(cache, 1) < 1.01 * BUDGET
        assert int(info(cache, "evicted_keys")) > 9 * BUDGET // 1100


def test_memory_that_another_thread_frees_comes_back_to_the_account(server):
    with RawClient(server.port, timeout=60) as client:
        client.call("CONFIG", "SET", "db.cache.maxmemory", 0)
        client.call("SELECT", "cache")

        def add(name: str, start: int) -> None:
            assert client.call("SADD", name, *(f"member:{i}" for i in range(start, start + 1000))) == 1000

        # The server's buffers have the size that they need for one such command, and stay so.
        add("first", 0)
        empty = int(info(client, "used_memory"))
        for start in range(0, 200_000, 1000):
            add("set", start)
        full = int(info(client, "used_memory"))
        assert full - empty > 5 * MEGABYTE
        client.call("CONFIG", "SET", "db.cache.maxmemory", 1)
        wait_for(lambda: client.call("DBSIZE") == 0, "the sets are evicted")
        wait_for(lambda: int(info(client, "used_memory")) < empty + (full - empty) // 50, "their memory is free")
        wait_for(lambda: int(info(client, "mem_not_counted_for_evict")) == 0, "nothing is about to be freed")


def test_the_limit_of_the_server_holds_for_large_values(server):
    limit = 48 * MEGABYTE
    with RawClient(server.port, timeout=60) as client:
        client.call("CONFIG", "SET", "maxmemory", limit, "maxmemory-policy", "allkeys-lru", "db.cache.maxmemory", 0)
        for i in range(300):
            client.call("SELECT", i % 3)
            assert client.call("SET", f"key:{i}", "x" * MEGABYTE) == b"OK"
            # One value may come on top, which is in the input at the same time.
            assert int(info(client, "used_memory")) < limit + 4 * MEGABYTE
        assert int(info(client, "evicted_keys")) > 200
        # The three have given way alike.
        sizes = []
        for database in (0, 1, 2):
            client.call("SELECT", database)
            sizes.append(client.call("DBSIZE"))
        assert max(sizes) - min(sizes) <= 2 and min(sizes) > 10


def test_what_the_server_says_it_uses_is_what_the_allocator_says(server):
    with RawClient(server.port, timeout=60) as client:
        for start in range(0, 100_000, 1000):
            client.send_raw(b"".join(encode("SET", f"key:{i}", "x" * (i % 300)) for i in range(start, start + 1000)))
            assert {client.read() for _ in range(1000)} == {b"OK"}
        for i in range(0, 100_000, 3):
            client.send_raw(encode("DEL", f"key:{i}"))
        for i in range(0, 100_000, 3):
            client.read()
        used, allocated = int(info(client, "used_memory")), int(info(client, "allocator_allocated"))
        # The allocator counts what each thread keeps for the next time.
        assert abs(used - allocated) < 0.01 * allocated + MEGABYTE


def test_a_full_broker_serves_its_workers(server):
    """Celery's way with a task, once its broker is full."""
    with RawClient(server.port) as client:
        client.call("ZADD", "unacked_index", 1, "tag")
        client.call("HSET", "unacked", "tag", "task")
        client.call("LPUSH", "celery", "one", "two")
        client.call("CONFIG", "SET", "db.broker.maxmemory", 1)
        assert client.call("LPUSH", "celery", "three") == Error(
            "OOM command not allowed when used memory > 'maxmemory'. Database: broker")
        assert client.call("BRPOP", "celery", 1) == [b"celery", b"one"]
        for command in (("MULTI",), ("ZREM", "unacked_index", "tag"), ("HDEL", "unacked", "tag")):
            client.call(*command)
        assert client.call("EXEC") == [1, 1]
        assert client.call("LLEN", "celery") == 1


def test_the_working_memory_of_a_long_command_takes_no_keys():
    length = 6000  # of each string: a table of 144 MB
    settings = ("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru", "--db.0.maxmemory-policy", "noeviction")
    with Server(*settings) as server, RawClient(server.port, timeout=120) as client, RawClient(server.port) as other:
        other.call("SELECT", 1)
        for start in range(0, 20000, 1000):
            other.send_raw(b"".join(encode("SET", f"key:{i}", "x" * 100) for i in range(start, start + 1000)))
            assert {other.read() for _ in range(1000)} == {b"OK"}
        for key in ("a", "b"):
            assert client.call("SET", key, "xy" * (length // 2)) == b"OK"
        used = int(info(client, "used_memory"))
        client.send("LCS", "a", "b", "LEN")
        wait_for(lambda: int(info(other, "mem_long_commands")) > 4 * length * length, "the table is there")
        assert other.call("SET", "new", "value") == b"OK"
        while int(info(other, "mem_long_commands")):
            assert other.call("SET", "new", "value") == b"OK"
            assert int(info(other, "mem_not_counted_for_evict")) > 4 * length * length
        assert client.read() == length
        assert other.call("DBSIZE") == 20001
        assert int(info(other, "evicted_keys")) == 0
        wait_for(lambda: int(info(client, "used_memory")) < used + MEGABYTE, "the memory is given back")
