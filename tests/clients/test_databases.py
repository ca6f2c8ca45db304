"""Databases with roles, as their users' clients see them: INFO and its readers, the DB commands, the guard against flushing."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import redis
from redis.exceptions import ResponseError

from support.server import ROOT, Server

SHIPPED = (ROOT / "conf" / "quartet.toml").read_text()


@pytest.fixture(scope="module")
def server():
    """The configuration that comes with Quartet: broker, cache, sessions, jobs."""
    with Server(settings=SHIPPED) as running:
        yield running


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def connect(request, server):
    """Makes clients of a database that are closed after the test; the databases are empty before it."""
    clients = []

    def make(db: int = 0, **options) -> redis.Redis:
        options = {"decode_responses": True, **options}
        clients.append(redis.Redis(port=server.port, protocol=request.param, db=db, **options))
        return clients[-1]

    admin = make()
    roles = {name: admin.config_get(f"db.{name}.flush")[f"db.{name}.flush"] for name in ("broker", "sessions", "jobs")}
    admin.config_set(*[word for name in roles for word in (f"db.{name}.flush", "allowed")])
    admin.flushall()
    admin.config_set(*[word for name, flush in roles.items() for word in (f"db.{name}.flush", flush)])
    admin.config_resetstat()
    yield make
    for client in clients:
        client.close()


def as_map(reply) -> dict:
    """A map, which redis-py gives as a flat list in RESP2, where it does not know the command."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2]))


def text_of(client: redis.Redis, *sections: str) -> str:
    """INFO as it comes, without redis-py's reading of it."""
    client.set_response_callback("INFO", lambda reply, **_: reply)
    text = client.execute_command("INFO", *sections)
    return text.decode() if isinstance(text, bytes) else text


def work_for_some_microseconds(client: redis.Redis) -> None:
    """Commands are measured in whole microseconds, and of those that took less than one there is only a zero to tell."""
    client.eval("for _ = 1, 100000 do end", 0)


# INFO

def test_info_without_sections_is_what_redis_shows(connect):
    client = connect()
    client.set("key", 1)
    assert not [line for line in text_of(client).splitlines() if line.lower().lstrip("# ").startswith("database")]


def test_redis_py_reads_info_with_databases(connect):
    broker, cache = connect(0), connect(1)
    cache.set("key", 1, ex=100)
    for _ in range(3):
        cache.get("key")
    cache.get("absent")
    broker.lpush("celery", "a", "b")
    broker.lpush("celery\x06\x163", "a")
    broker.get("absent")
    work_for_some_microseconds(cache)
    for section in ("databases", "all", "everything"):
        information = broker.info(section)
        assert information["database_0_name"] == "broker" and information["database_1_name"] == "cache"
        assert information["database_1_keys"] == 1 and information["database_1_expires"] == 1
        assert information["database_1_keyspace_hits"] == 3 and information["database_1_keyspace_misses"] == 1
        assert information["database_1_keyspace_hit_rate"] == 0.75
        assert information["database_1_read_commands"] == 4 and information["database_1_write_commands"] == 1
        assert 0 <= information["database_1_latency_p50_usec"] < information["database_1_latency_p999_usec"]
        assert information["database_0_queue_0"] == {"name": "celery", "length": 2}
        assert information["database_0_queue_1"] == {"name": r"celery\x06\x163", "length": 1}
        assert "database_5_keys" not in information
    everything = broker.info("everything")
    # The databases' fields hide none of the server's.
    assert everything["keyspace_hits"] == 3 and everything["keyspace_misses"] == 2
    assert everything["db1"]["keys"] == 1
    assert broker.info("database_5")["database_5_keys"] == 0


def test_an_exporter_reads_the_lines_of_databases(connect):
    """As redis_exporter does: what begins with `db` is `dbN:keys=,expires=,avg_ttl=`, section by section."""
    client = connect(1)
    client.set("key", 1, ex=100)
    connect(3).rpush("queue", "a", "b")
    text = text_of(client, "ALL")
    sections, current = {}, None
    for line in text.split("\r\n"):
        if line.startswith("# "):
            current = sections.setdefault(line[2:], {})
        elif line:
            name, colon, value = line.partition(":")
            assert colon and current is not None, line
            assert name not in current
            current[name] = value
    databases = {name: value for section in sections.values() for name, value in section.items() if name.startswith("db")}
    assert sorted(databases) == ["db1", "db3"]
    for value in databases.values():
        assert re.fullmatch(r"keys=\d+,expires=\d+,avg_ttl=\d+", value)
    assert sections["Database_1"]["database_1_keys"] == "1" and sections["Database_3"]["database_3_queue_0"] == "name=queue,length=2"
    assert len({name for section in sections.values() for name in section}) == sum(map(len, sections.values())), "no name twice"


def test_a_monitor_of_workers_finds_its_fields(connect):
    """What Flower-like pages and `redis_monitor` show of INFO."""
    information = connect().info("all")
    for name in ("redis_version", "os", "process_id", "uptime_in_seconds", "used_memory_human", "used_memory_peak_human",
                 "mem_fragmentation_ratio", "total_connections_received", "total_commands_processed", "keyspace_hits",
                 "keyspace_misses", "connected_clients"):
        assert name in information


# DB

def test_db_list_and_info(connect):
    client = connect()
    connect(1).set("key", 1)
    listed = [as_map(each) for each in client.execute_command("DB", "LIST")]
    assert [(each["index"], each["name"], each["keys"], each["flush"]) for each in listed] == [
        (0, "broker", 0, "protected"), (1, "cache", 1, "allowed"), (2, "sessions", 0, "protected"), (3, "jobs", 0, "protected")]
    told = as_map(client.execute_command("DB INFO", "cache"))
    assert told["index"] == 1 and told["keys"] == 1
    settings = as_map(told["settings"])
    assert settings["default-ttl"] == "0" and settings["flush"] == "allowed" and settings["appendfsync"] == "everysec"
    client.config_set("db.cache.default-ttl", 60)
    try:
        told = as_map(client.execute_command("DB INFO", 1))
        assert as_map(told["settings"])["default-ttl"] == "60" and "default-ttl" in told["own"]
        assert client.config_get("db.cache.default-ttl") == {"db.cache.default-ttl": "60"}
    finally:
        client.config_set("db.cache.default-ttl", 0)
    with pytest.raises(ResponseError, match="^No such database$"):
        client.execute_command("DB INFO", "nosuch")


def test_db_stats(connect):
    client, jobs = connect(), connect(3)
    jobs.rpush("queue", *range(5))
    jobs.rpush("longer", *range(7))
    jobs.get("absent")
    work_for_some_microseconds(jobs)
    stats = as_map(client.execute_command("DB STATS", "jobs"))
    assert stats["name"] == "jobs" and stats["keys"] == stats["lists"] == 2
    assert stats["write_commands"] == 2 and stats["read_commands"] == 1 and stats["clients"] == 1
    assert float(stats["keyspace_hit_rate"]) == 0 and float(stats["latency_p99_usec"]) > 0
    assert list(as_map(stats["queues"]).items()) == [("longer", 7), ("queue", 5)]
    every = as_map(client.execute_command("DB STATS"))
    assert list(every) == ["broker", "cache", "sessions", "jobs"]
    assert as_map(every["jobs"])["used_memory"] == jobs.memory_usage("queue") + jobs.memory_usage("longer") + \
        as_map(client.memory_stats()["db.3"])["overhead.hashtable.main"]


def test_slow_commands_are_told_with_their_database(connect):
    client, cache = connect(), connect(1, client_name="shop")
    client.slowlog_reset()
    client.config_set("db.cache.slowlog-log-slower-than", 0)
    try:
        cache.set("key", 1)
    finally:
        client.config_set("db.cache.slowlog-log-slower-than", 10000)
    entry, = [each for each in client.slowlog_get() if each["command"] == "SET key 1" or each["command"] == b"SET key 1"]
    told = [as_map(each) for each in client.execute_command("DB SLOWLOG", "cache", "COUNT", -1)]
    named, = [each for each in told if each["id"] == entry["id"]]
    assert named["database"] == "cache" and named["command"] == ["SET", "key", "1"] and named["client_name"] == "shop"
    assert client.execute_command("DB SLOWLOG", "broker") == []


# The guard

def test_a_protected_database_survives(connect):
    broker, cache = connect(0), connect(1)
    broker.lpush("celery", "task")
    cache.set("key", 1)
    for flush in (broker.flushdb, broker.flushall, cache.flushall):
        with pytest.raises(ResponseError, match="^PROTECTED .*CONFIG SET db.broker.flush allowed"):
            flush()
    with pytest.raises(ResponseError, match="^PROTECTED SWAPDB"):
        cache.swapdb(0, 1)
    assert broker.llen("celery") == 1 and cache.get("key") == "1"
    assert cache.flushdb() and cache.dbsize() == 0


CLEARS = """
import sys
import django
from django.conf import settings
port = sys.argv[1]
cache = lambda backend, **options: {"BACKEND": backend, "LOCATION": f"redis://127.0.0.1:{port}/1", **options}
settings.configure(CACHES={"default": cache("django.core.cache.backends.redis.RedisCache"),
                           "django-redis": cache("django_redis.cache.RedisCache", KEY_PREFIX="own")})
django.setup()
from django.core.cache import caches
for name in ("default", "django-redis"):
    caches[name].set("key", "value")
    assert caches[name].get("key") == "value"
    caches[name].clear()
    assert caches[name].get("key") is None
"""


def test_django_clears_its_cache(connect, server):
    broker = connect(0)
    broker.lpush("celery", "task")
    done = subprocess.run([sys.executable, "-c", CLEARS, str(server.port)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert connect(1).dbsize() == 0 and broker.llen("celery") == 1


# Limits of clients

def test_a_pool_meets_a_full_database(connect, server):
    admin = connect()
    admin.config_set("db.cache.maxclients", 1)
    try:
        first = connect(1)
        assert first.set("key", 1)
        with pytest.raises((ResponseError, redis.ConnectionError), match="max number of clients reached in database cache"):
            connect(1).get("key")
        assert connect(2).get("key") is None
    finally:
        admin.config_set("db.cache.maxclients", 0)
    assert connect(1).get("key") == "1"
