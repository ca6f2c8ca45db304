"""examples/one_at_a_time: a lock made with cache.add lets one of ten submissions through."""

from __future__ import annotations

import pathlib
import re
import sqlite3
from contextlib import closing
from typing import NamedTuple

import pytest
import redis
from support.memcached import CacheServer
from support.processes import EXAMPLES, celery_worker, manage

DIRECTORY = EXAMPLES / "one_at_a_time"


class Round(NamedTuple):
    invoices: int
    processes: list[int]


@pytest.fixture(scope="module")
def server():
    with CacheServer() as running:
        yield running


@pytest.fixture
def environment(server: CacheServer, tmp_path: pathlib.Path) -> dict[str, str]:
    with redis.Redis.from_url(server.url()) as client:
        client.flushall()
    environment = {
        "REDIS_URL": server.url(1),
        "MEMCACHED_LOCATION": f"127.0.0.1:{server.memcached_port}",
        "CELERY_BROKER_URL": server.url(0),
        "DATABASE_PATH": str(tmp_path / "db.sqlite3"),
    }
    migrated = manage(DIRECTORY, environment, "migrate")
    assert migrated.returncode == 0, migrated.stderr
    return environment


def race(environment: dict[str, str], processes: int, rounds: int) -> list[Round]:
    """Runs a worker with so many processes and lets ten submissions race in every round."""
    with celery_worker(DIRECTORY, environment, "-P", "prefork", "-c", str(processes)) as worker:
        ended = manage(DIRECTORY, environment, "race", "--submissions", "10",
                       "--rounds", str(rounds), "--processes", str(processes))
        assert ended.returncode == 0, ended.stderr + worker.read()
        # Says that the tasks of a round did not start together, so that there was no race.
        assert "TimeoutError" not in worker.read()
    lines = re.findall(r"^Round \d+: 10 submissions, (\d+) of them at the same moment: "
                       r"(\d+) invoice\(s\), from process\(es\) \[([\d, ]*)\]$", ended.stdout, re.MULTILINE)
    assert len(lines) == rounds, ended.stdout
    assert {int(together) for together, _, _ in lines} == {min(10, processes)}
    return [Round(int(invoices), [int(process) for process in makers.split(", ")]) for _, invoices, makers in lines]


def invoices_by_order(environment: dict[str, str]) -> list[int]:
    """How many invoices each order has, as the database says."""
    with closing(sqlite3.connect(environment["DATABASE_PATH"])) as database:
        return [count for count, in database.execute('SELECT count(*) FROM invoices_invoice GROUP BY "order"')]


@pytest.mark.parametrize(("backend", "processes", "rounds"), [("redis", 4, 50), ("redis", 10, 5), ("memcached", 4, 20), ("memcached", 10, 5)])
def test_one_invoice_with_a_cache_that_all_processes_share(environment, server, backend, processes, rounds):
    outcome = race({**environment, "CACHE_BACKEND": backend}, processes, rounds)
    assert [one.invoices for one in outcome] == [1] * rounds
    assert invoices_by_order(environment) == [1] * rounds
    with redis.Redis.from_url(server.url(1)) as cache:
        locks = list(cache.scan_iter("invoices:1:lock:*"))
        assert len(locks) == rounds
        assert all(0 < cache.ttl(lock) <= 3600 for lock in locks)


# Each process finds the lock open once, in its own cache: so there are as many invoices as processes.
@pytest.mark.parametrize("processes", [4, 10])
def test_an_invoice_from_every_process_with_a_cache_for_each(environment, server, processes):
    outcome = race({**environment, "CACHE_BACKEND": "locmem"}, processes, rounds=3)
    assert [one.invoices for one in outcome] == [processes] * 3
    assert [len(set(one.processes)) for one in outcome] == [processes] * 3
    assert invoices_by_order(environment) == [processes] * 3
    with redis.Redis.from_url(server.url(1)) as cache:
        assert cache.dbsize() == 0
