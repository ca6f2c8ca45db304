"""A site whose broker, cache, sessions and jobs are four databases of one server, and what becomes of three of them while the
fourth, the cache, is written at many times its budget, emptied, listed and relieved of big values.

`run` does it and says what it saw; who calls it knows what to expect.
"""

from __future__ import annotations

import itertools
import pathlib
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import redis

from support import four_roles_app
from support.processes import celery_worker
from support.server import Server

HERE = pathlib.Path(__file__).resolve().parent

MEGABYTE = 1024 * 1024
CACHE_BYTES = 32 * MEGABYTE
TOTAL_BYTES = 4 * CACHE_BYTES  # what a server with one limit for all of them is given
SESSIONS, JOBS = 2000, 2000
CACHE_VALUE = b"p" * 10_000
BIG_MEMBERS = 200_000
WORKERS = 4
TASKS_PER_SECOND = 20

SETTINGS = f"""
maxmemory = {TOTAL_BYTES}

[[database]]
index = 0
name = "broker"
maxmemory = "32mb"
maxmemory-policy = "noeviction"
flush = "protected"

[[database]]
index = 1
name = "cache"
maxmemory = {CACHE_BYTES}
maxmemory-policy = "allkeys-lru"

[[database]]
index = 2
name = "sessions"
maxmemory = "32mb"
maxmemory-policy = "noeviction"
flush = "protected"

[[database]]
index = 3
name = "jobs"
maxmemory = "32mb"
maxmemory-policy = "noeviction"
flush = "protected"
"""


def one_limit_for_all() -> list[str]:
    """The options that give a redis-server the same memory, and the policy that its cache needs."""
    return ["--maxmemory", str(TOTAL_BYTES), "--maxmemory-policy", "allkeys-lru"]


@dataclass
class Outcome:
    """What was seen. Latencies are in microseconds."""

    tasks_sent: int = 0
    tasks_refused: int = 0
    tasks_lost: int = 0
    sessions_lost: int = 0
    jobs_lost: int = 0
    cache_bytes: int = 0
    errors: list[str] = field(default_factory=list)  # of the cache's clients and of the probe
    idle: list[int] = field(default_factory=list)    # a push and a pop at the broker, each as long as it took
    storm: list[int] = field(default_factory=list)   # the same while the cache is stormed


def percentile(latencies: list[int], percent: float) -> int:
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Site:
    def __init__(self, server: Server, ahead: bool, probed: Server):
        self.server = server
        self.probed = probed
        self.ahead = ahead
        self.url = f"redis://127.0.0.1:{server.port}/"
        self.sessions, self.jobs = self.client(2), self.client(3)
        self.outcome = Outcome()
        self.results: list = []
        self.over = threading.Event()
        self.app = four_roles_app.make(self.url)

    def client(self, database: int) -> redis.Redis:
        return redis.Redis(port=self.server.port, db=database)

    def fill(self) -> None:
        with self.sessions.pipeline(transaction=False) as pipeline:
            for number in range(SESSIONS):
                pipeline.set(f"session:{number}", f"user {number}", ex=14 * 24 * 3600)
            pipeline.execute()
        with self.jobs.pipeline(transaction=False) as pipeline:
            for number in range(JOBS):
                pipeline.hset(f"job:{number}", mapping={"state": "done", "progress": number})
            pipeline.execute()

    def count_losses(self) -> None:
        with self.sessions.pipeline(transaction=False) as pipeline:
            for number in range(SESSIONS):
                pipeline.get(f"session:{number}")
            kept = pipeline.execute()
        self.outcome.sessions_lost = sum(value != b"user %d" % number for number, value in enumerate(kept))
        with self.jobs.pipeline(transaction=False) as pipeline:
            for number in range(JOBS):
                pipeline.hget(f"job:{number}", "progress")
            kept = pipeline.execute()
        self.outcome.jobs_lost = sum(value != b"%d" % number for number, value in enumerate(kept))

    # What the clients do, each in a thread until the storm is over.

    def send_tasks(self) -> None:
        while not self.over.wait(1 / TASKS_PER_SECOND):
            self.outcome.tasks_sent += 1
            try:
                self.results.append((self.outcome.tasks_sent, self.app.tasks["add"].apply_async((self.outcome.tasks_sent, 1), retry=False)))
            except Exception as error:  # whatever Celery makes of the server's refusal
                self.outcome.tasks_refused += 1
                self.outcome.errors.append(f"task: {error}")

    def write_cache(self) -> None:
        pages = itertools.count()
        with self.client(1) as cache:
            while not self.over.is_set():
                with cache.pipeline(transaction=False) as pipeline:
                    for number in itertools.islice(pages, 100):
                        pipeline.set(f"page:{number}", CACHE_VALUE, ex=3600)
                    self.outcome.errors += [f"cache: {reply}" for reply in pipeline.execute(raise_on_error=False)
                                            if isinstance(reply, Exception)]
                self.outcome.cache_bytes += 100 * len(CACHE_VALUE)

    def trouble_cache(self) -> None:
        big = [b"member:%d" % number for number in range(BIG_MEMBERS)]
        with self.client(1) as cache:
            while not self.over.wait(1):
                for act in (lambda: cache.sadd("big", *big), lambda: cache.keys("*"), lambda: cache.delete("big"), cache.flushdb):
                    try:
                        act()
                    except redis.RedisError as error:
                        self.outcome.errors.append(f"cache: {error}")

    def probe(self, seconds: float) -> list[int]:
        """A queue's latencies for so many seconds."""
        command = [sys.executable, str(HERE / "broker_probe.py"), str(self.probed.port), *(["ahead"] if self.ahead else [])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as probe:
            time.sleep(seconds)
            output, _ = probe.communicate("")
        if probe.returncode != 0:
            self.outcome.errors.append("the probe of the broker was refused")
        pairs = output.split()
        if lost := pairs.count("lost"):
            self.outcome.errors.append(f"{lost} elements of the probed queue were gone before they were popped")
        return [int(pair) for pair in pairs if pair != "lost"]

    def await_tasks(self) -> None:
        """A task is lost when its result does not come within a minute after the storm."""
        deadline = time.monotonic() + 60
        for number, result in self.results:
            try:
                if result.get(timeout=max(0.01, deadline - time.monotonic()), disable_sync_subtasks=False) != number + 1:
                    self.outcome.tasks_lost += 1
            except Exception:
                self.outcome.tasks_lost += 1
                result.forget()  # Celery unsubscribes from it, which must not wait until the server is gone.


def run(server: Server, seconds: float, ahead: bool = False, probed: Server | None = None) -> Outcome:
    """`seconds` of storm, after a third as many without it. `probed` is asked for the latencies, if not the server itself.
    REQUIRES: they have started."""
    site = Site(server, ahead, probed or server)
    site.fill()
    sender = threading.Thread(target=site.send_tasks)
    storm = [threading.Thread(target=act) for act in (site.write_cache, site.trouble_cache)]
    with celery_worker(HERE.parent, {"FOUR_ROLES_URL": site.url}, "--hostname", "roles@test", "--concurrency", str(WORKERS),
                       application="support.four_roles_app"):
        try:
            sender.start()
            site.outcome.idle = site.probe(seconds / 3)
            for thread in storm:
                thread.start()
            site.outcome.storm = site.probe(seconds)
        finally:
            site.over.set()
            for thread in (sender, *storm):
                if thread.ident:
                    thread.join()
        site.await_tasks()
        site.count_losses()
    site.app.backend.result_consumer.stop()
    site.app.close()
    for client in (site.sessions, site.jobs):
        client.close()
    return site.outcome
