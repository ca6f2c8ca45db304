"""Debian's redis-benchmark 7.0: every one of its tests runs to its end, without an error. Its figures are not judged."""

from __future__ import annotations

import csv
import re
import subprocess

import pytest
import redis

TESTS = [
    "PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD", "HSET", "SPOP", "ZADD",
    "ZPOPMIN", "LPUSH (needed to benchmark LRANGE)", "LRANGE_100 (first 100 elements)",
    "LRANGE_300 (first 300 elements)", "LRANGE_500 (first 500 elements)", "LRANGE_600 (first 600 elements)",
    "MSET (10 keys)",
]
REQUESTS = 2000


@pytest.fixture
def client(server):
    with redis.Redis(port=server.port, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def benchmark(server, client):
    """Runs redis-benchmark and answers its output. It complains on its standard error, where only `advice` may be."""
    def run(*arguments: str, advice: str = "") -> str:
        done = subprocess.run(["redis-benchmark", "-p", str(server.port), "-n", str(REQUESTS), *arguments],
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert [line for line in done.stderr.splitlines() if not advice or advice not in line] == []
        assert "error" not in done.stdout.lower()
        return done.stdout
    return run


def finished(output: str) -> list[str]:
    """The names of the tests that came to their end in the output of a quiet run."""
    return re.findall(r"^\s*(\S.*): [\d.]+ requests per second, p50=[\d.]+ msec", output.replace("\r", "\n"), re.MULTILINE)


def commands(client, name: str) -> int:
    """How often the server has executed a command."""
    return client.info("commandstats").get(f"cmdstat_{name}", {"calls": 0})["calls"]


@pytest.mark.parametrize("pipeline", [[], ["-P", "16"]], ids=["single", "pipelined"])
def test_every_test_ends(benchmark, client, pipeline):
    assert finished(benchmark("-q", *pipeline)) == TESTS
    # An answer that counts as well as one that is checked: what the benchmark wrote is there.
    assert int(client.get("counter:__rand_int__")) >= REQUESTS
    assert client.strlen("key:__rand_int__") == 3
    assert client.llen("mylist") >= REQUESTS
    assert client.hlen("myhash") == 1


@pytest.mark.parametrize("pipeline", [[], ["-P", "16"]], ids=["single", "pipelined"])
def test_csv(benchmark, pipeline):
    header, *rows = csv.reader(benchmark("--csv", *pipeline).splitlines())
    assert header == ["test", "rps", "avg_latency_ms", "min_latency_ms", "p50_latency_ms", "p95_latency_ms",
                      "p99_latency_ms", "max_latency_ms"]
    assert [row[0] for row in rows] == TESTS
    assert all(float(row[1]) > 0 for row in rows)


def test_random_keys_resp3_and_threads(benchmark, client):
    assert finished(benchmark("-q", "-t", "set,get", "-r", "500", "-3", "-d", "100")) == ["SET", "GET"]
    assert 400 < client.dbsize() <= 500
    assert len(client.randomkey()) == len("key:000000000123")
    assert finished(benchmark("-q", "-t", "set,get", "-r", "500", "--threads", "2", "-P", "4")) == ["SET", "GET"]
    assert client.dbsize() <= 500


def test_reconnecting_and_other_database(benchmark, client):
    before = client.info("stats")["total_connections_received"]
    output = benchmark("-q", "-t", "set", "-k", "0", "-c", "10", "--dbnum", "4", advice="Keepalive disabled")
    assert finished(output) == ["SET"]
    assert client.info("stats")["total_connections_received"] >= before + REQUESTS
    assert client.dbsize() == 0
    assert client.info("keyspace")["db4"]["keys"] == 1


def test_own_command(benchmark, client):
    before = commands(client, "lpush")
    name, = finished(benchmark("-q", "lpush", "own", "element"))
    assert name == "lpush own element"
    assert client.llen("own") >= REQUESTS
    assert commands(client, "lpush") - before == client.llen("own")


def test_password(benchmark, client):
    client.config_set("requirepass", "secret")
    try:
        assert finished(benchmark("-q", "-t", "ping_mbulk", "-a", "secret")) == ["PING_MBULK"]
    finally:
        client.config_set("requirepass", "")


def test_errors_are_reported(server, client):
    """The server's error reaches the person who runs the benchmark."""
    client.set("text", "value")
    done = subprocess.run(["redis-benchmark", "-p", str(server.port), "-n", "10", "-e", "lpush", "text", "element"],
                          capture_output=True, text=True, timeout=60)
    assert "WRONGTYPE Operation against a key holding the wrong kind of value" in done.stdout + done.stderr
