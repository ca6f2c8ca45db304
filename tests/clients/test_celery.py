"""Celery end to end: canvas, priorities, control commands, events, lost workers and a lost server."""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest
import redis
from celery import chain, chord, group
from celery.exceptions import ChordError, TaskRevokedError, TimeoutError as CeleryTimeoutError
from kombu.exceptions import OperationalError

from support.background import Background
from support.server import Server
from support.wait import wait_for

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import celery_app  # noqa: E402
from celery_app import (add, app, die_once, echo_late, fail, gather, hold, hold_late, ignored, note,  # noqa: E402
                        stand, succeed_at, total)

TIMEOUT = 30  # seconds for one result on a busy machine
UNACKED_KEYS = ("unacked", "unacked_index", "unacked_mutex")


class Cluster:
    """The server with its workers, and a client of each of the databases that Celery uses."""

    def __init__(self):
        self.server = Server("--appendonly", "yes", "--appendfsync", "always").start()
        self.url = f"redis://127.0.0.1:{self.server.port}/"
        self.broker, self.results, self.notes = (
            redis.Redis(port=self.server.port, db=db, decode_responses=True) for db in (0, 3, 5))
        celery_app.configure(self.url)

    def worker(self, name: str, *options: str, visibility_timeout: float = 3600) -> Background:
        """A worker that is ready for tasks. `name` is its host name, of the form `something@test`."""
        worker = Background(
            [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--hostname", name, "--loglevel", "info",
             *options], cwd=HERE,
            env={"PROBE_SERVER_URL": self.url, "PROBE_VISIBILITY_TIMEOUT": str(visibility_timeout)})
        try:
            wait_for(lambda: f"{name} ready." in worker.read(), f"worker {name} is ready")
        except AssertionError:
            print(worker.read())
            worker.stop()
            raise
        return worker

    def celery(self, *arguments: str) -> str:
        """The output of one `celery` command."""
        return subprocess.run([sys.executable, "-m", "celery", "-A", "celery_app", *arguments], cwd=HERE, timeout=60,
                              env={"PROBE_SERVER_URL": self.url}, capture_output=True, text=True, check=True).stdout

    def close(self) -> None:
        app.backend.result_consumer.stop()
        app.close()
        for client in (self.broker, self.results, self.notes):
            client.close()
        self.server.stop()
        self.server.remove()


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def worker(cluster):
    with cluster.worker("main@test", "--pool", "prefork", "--concurrency", "2", "--task-events") as worker:
        yield worker


@pytest.fixture(autouse=True)
def nothing_unacknowledged(cluster):
    """Whatever a test does, the broker has nothing unacknowledged in the end."""
    yield
    wait_for(lambda: not cluster.broker.exists(*UNACKED_KEYS), "every task is acknowledged")
    cluster.notes.flushdb()


def started(cluster, name: str) -> int:
    """Waits for `hold` to run; the process it runs in."""
    return int(wait_for(lambda: cluster.notes.lrange(f"{name}:started", 0, -1), f"{name} has started")[0])


# Results

def test_result(worker):
    assert add.delay(2, 3).get(timeout=TIMEOUT) == 5


def test_failure_reaches_the_caller(worker):
    result = fail.delay("on purpose")
    with pytest.raises(ValueError, match="on purpose"):
        result.get(timeout=TIMEOUT)
    assert result.state == "FAILURE" and "on purpose" in result.traceback


def test_many_results_at_once(worker):
    results = [add.delay(number, 1) for number in range(200)]
    assert [result.get(timeout=TIMEOUT) for result in results] == list(range(1, 201))


def test_retry(worker):
    assert succeed_at.delay(3).get(timeout=TIMEOUT) == 3


def test_timeout_of_get(worker):
    with pytest.raises(CeleryTimeoutError):
        add.apply_async((1, 1), queue="unattended").get(timeout=0.2)
    with app.connection_for_write() as connection:
        assert connection.default_channel.queue_purge("unattended") == 1


def test_results_expire(cluster, worker):
    app.conf.result_expires = 3600
    result = add.delay(1, 1)
    result.get(timeout=TIMEOUT)
    key = f"celery-task-meta-{result.id}"
    assert 0 < cluster.results.ttl(key) <= 86400
    assert json.loads(cluster.results.get(key))["result"] == 2
    result.forget()
    assert not cluster.results.exists(key)


def test_ignored_result_leaves_nothing(cluster, worker):
    before = add.delay(1, 1)
    task = ignored.delay()
    before.get(timeout=TIMEOUT)
    wait_for(lambda: f"Task celery_app.ignored[{task.id}] succeeded" in worker.read(), "the task has run")
    assert not cluster.results.exists(f"celery-task-meta-{task.id}")


# Canvas

def test_chain(worker):
    assert chain(add.s(1, 2), add.s(10), add.s(100)).apply_async().get(timeout=TIMEOUT) == 113


def test_group(worker):
    result = group(add.s(number, number) for number in range(20)).apply_async()
    assert result.get(timeout=TIMEOUT) == [2 * number for number in range(20)]


def test_group_is_saved_and_restored(worker):
    result = group(add.s(number, 1) for number in range(3)).apply_async()
    result.save()
    restored = app.GroupResult.restore(result.id)
    assert restored.get(timeout=TIMEOUT) == [1, 2, 3]
    restored.delete()
    assert app.GroupResult.restore(result.id) is None


def test_chord_keeps_the_order_of_its_headers(worker):
    headers = [echo_late.s(number, 0.2 if number % 2 == 0 else 0) for number in range(8)]
    assert chord(headers)(gather.s()).get(timeout=TIMEOUT) == list(range(8))


def test_chord_with_many_headers(cluster, worker):
    result = chord(add.s(number, 0) for number in range(150))(total.s())
    assert result.get(timeout=TIMEOUT) == sum(range(150))
    wait_for(lambda: not list(cluster.results.scan_iter("*.j")), "the chord's collected results are removed")


def test_chord_with_a_failing_header(worker):
    error = chord([add.s(1, 1), fail.s("on purpose")])(total.s()).get(timeout=TIMEOUT, propagate=False)
    assert isinstance(error, ChordError) and "on purpose" in str(error)


def test_nested_canvas(worker):
    inner = chain(add.s(1, 1), group(add.s(number) for number in range(3)), total.s())
    assert chord([inner, add.s(5, 5)])(total.s()).get(timeout=TIMEOUT) == 2 * 3 + 3 + 10


# Time

def test_countdown_and_eta(worker):
    begin = time.time()
    results = [add.apply_async((1, 1), countdown=1.5), add.apply_async((2, 2), eta=app.now().replace(microsecond=0))]
    assert [result.get(timeout=TIMEOUT) for result in results] == [2, 4]
    assert time.time() - begin >= 1.5


def test_expired_task_does_not_run(worker):
    result = add.apply_async((1, 1), countdown=1, expires=0.5)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=TIMEOUT)


# Priorities

def test_priorities(cluster):
    expected = []
    for priority in (9, 6, 3, 0):
        for number in range(3):
            note.apply_async(("order", f"{priority}-{number}"), queue="ranked", priority=priority)
    assert cluster.broker.llen("ranked") == 3
    assert cluster.broker.llen("ranked\x06\x169") == 3
    expected = [f"{priority}-{number}" for priority in (0, 3, 6, 9) for number in range(3)]
    with cluster.worker("ranked@test", "--pool", "solo", "--queues", "ranked"):
        wait_for(lambda: cluster.notes.llen("order") == 12, "all tasks have run")
    assert cluster.notes.lrange("order", 0, -1) == expected


# Control

def test_ping_and_stats(cluster, worker):
    inspect = app.control.inspect(["main@test"], timeout=TIMEOUT, limit=1)
    assert inspect.ping() == {"main@test": {"ok": "pong"}}
    stats = inspect.stats()["main@test"]
    assert stats["pool"]["max-concurrency"] == 2 and stats["broker"]["transport"] == "redis"
    assert "celery_app.add" in inspect.registered()["main@test"]
    assert inspect.active_queues()["main@test"][0]["name"] == "celery"
    reply = cluster.celery("inspect", "ping", "--json", "--timeout", "5", "--destination", "main@test")
    assert json.loads(reply) == {"main@test": {"ok": "pong"}}


def test_active_reserved_and_scheduled(cluster, worker):
    inspect = app.control.inspect(["main@test"], timeout=TIMEOUT, limit=1)
    result = hold.delay("active")
    process = started(cluster, "active")
    active = inspect.active()["main@test"]
    assert [(task["id"], task["worker_pid"]) for task in active] == [(result.id, process)]
    assert inspect.reserved() == {"main@test": []}
    cluster.notes.rpush("active:release", 1)
    assert result.get(timeout=TIMEOUT) is True

    later = add.apply_async((1, 1), countdown=5)
    scheduled = wait_for(lambda: inspect.scheduled()["main@test"], "the task is scheduled")
    assert [entry["request"]["id"] for entry in scheduled] == [later.id]
    assert cluster.broker.hlen("unacked") == 1 and cluster.broker.zcard("unacked_index") == 1
    assert later.get(timeout=TIMEOUT) == 2


def test_revoke_before_the_task_runs(cluster, worker):
    result = add.apply_async((1, 1), countdown=1)
    result.revoke()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=TIMEOUT)


def test_revoke_of_a_running_task(cluster, worker):
    result = hold.delay("victim")
    started(cluster, "victim")
    result.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=TIMEOUT)
    assert result.state == "REVOKED"
    assert add.delay(1, 1).get(timeout=TIMEOUT) == 2


def test_consumers_come_and_go(cluster, worker):
    def control(command, *arguments):
        return app.control.broadcast(command, arguments={"queue": "extra"}, reply=True, destination=["main@test"],
                                     timeout=TIMEOUT, limit=1)
    assert "ok" in control("add_consumer")[0]["main@test"]
    assert add.apply_async((3, 4), queue="extra").get(timeout=TIMEOUT) == 7
    assert "ok" in control("cancel_consumer")[0]["main@test"]


# Events

def test_event_receiver(worker):
    """The first heartbeat tells that the receiver hears, and only then a task is sent."""
    expected = {"task-sent", "task-received", "task-started", "task-succeeded"}
    events, sent = {}, []
    deadline = time.monotonic() + TIMEOUT

    def collect(event):
        if event["type"] == "worker-heartbeat" and not sent:
            sent.append(add.delay(1, 1).id)
        elif sent and event.get("uuid") == sent[0]:
            events[event["type"]] = event
        # Two processes send the task's events, so that the last to happen need not be the last to arrive.
        receiver.should_stop = events.keys() >= expected or time.monotonic() > deadline

    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": collect})
        receiver.capture(limit=None, timeout=TIMEOUT, wakeup=True)
    assert events.keys() == expected
    assert events["task-succeeded"]["result"] == "2" and events["task-succeeded"]["hostname"] == "main@test"


def test_events_dump(cluster, worker):
    command = [sys.executable, "-u", "-m", "celery", "-A", "celery_app", "events", "--dump"]
    with Background(command, cwd=HERE, env={"PROBE_SERVER_URL": cluster.url}) as dump:
        wait_for(lambda: "main@test" in dump.read(), "celery events shows the worker")
        task = add.delay(1, 1)
        task.get(timeout=TIMEOUT)
        wait_for(lambda: f"task succeeded: celery_app.add({task.id})" in dump.read(), "celery events shows the task")


# Losses

def test_lost_process_gives_its_task_back(cluster, worker):
    assert die_once.delay("attempts").get(timeout=TIMEOUT) == 2


def test_killed_worker_gives_its_task_back(cluster):
    visibility_timeout = 2
    options = ("--pool", "prefork", "--concurrency", "1", "--queues", "fragile")
    with cluster.worker("first@test", *options, visibility_timeout=visibility_timeout) as first:
        result = hold_late.apply_async(("lost",), queue="fragile")
        started(cluster, "lost")
        first.kill()
    (_, taken_at), = cluster.broker.zrange("unacked_index", 0, -1, withscores=True)
    assert cluster.broker.hlen("unacked") == 1 and not result.ready()

    # A worker restores what is overdue as soon as it is started.
    wait_for(lambda: time.time() > taken_at + visibility_timeout + 0.5, "the task is overdue")
    cluster.notes.delete("lost:started")
    with cluster.worker("second@test", *options, visibility_timeout=visibility_timeout):
        started(cluster, "lost")
        cluster.notes.rpush("lost:release", 1)
        assert result.get(timeout=TIMEOUT) is True
        assert cluster.notes.llen("lost:started") == 1


def test_worker_acknowledges_in_a_full_broker(cluster):
    """Redis refuses the acknowledgement, which is a transaction that only removes, and the worker ends of that."""
    with cluster.worker("full@test", "--pool", "prefork", "--concurrency", "1", "--queues", "full") as worker:
        result = hold_late.apply_async(("full",), queue="full")
        started(cluster, "full")
        assert cluster.broker.exists("unacked", "unacked_index") == 2
        cluster.broker.config_set("db.0.maxmemory", 1)
        try:
            with pytest.raises(redis.ResponseError, match="^command not allowed when used memory > 'maxmemory'. Database: 0"):
                cluster.broker.set("key", "value")
            with pytest.raises(OperationalError, match="used memory > 'maxmemory'"):
                add.delay(1, 1)
            cluster.notes.rpush("full:release", 1)
            assert result.get(timeout=TIMEOUT) is True
            wait_for(lambda: not cluster.broker.exists("unacked", "unacked_index"), "the task is acknowledged")
        finally:
            cluster.broker.config_set("db.0.maxmemory", 0)
        # The same worker goes on.
        assert add.apply_async((2, 3), queue="full").get(timeout=TIMEOUT) == 5
        assert worker.alive() and worker.read().count("full@test ready.") == 1


def test_restarted_server_is_found_again(cluster, worker):
    """The worker may notice in its event loop or in a heartbeat that it retries; either way it comes back."""
    assert add.delay(1, 1).get(timeout=TIMEOUT) == 2
    cluster.server.stop()
    cluster.server.start()

    def answers(signature, expected):
        try:
            return signature.delay().get(timeout=5) == expected
        except (redis.ConnectionError, OperationalError, CeleryTimeoutError):
            return False  # The caller has connections of its own that the restart broke, and meets each of them once.

    def hears():
        try:
            return cluster.celery("inspect", "ping", "--timeout", "2", "--destination", "main@test")
        except subprocess.CalledProcessError:
            return False

    wait_for(lambda: answers(add.s(2, 2), 4), "a task is answered", timeout=2 * TIMEOUT)
    wait_for(lambda: answers(chord([add.s(number, 0) for number in range(10)], total.s()), 45), "a chord is answered",
             timeout=2 * TIMEOUT)
    wait_for(hears, "the worker hears control commands")
    assert worker.alive()


def test_killed_server_loses_no_task(cluster, tmp_path):
    """Tasks are sent before, while and after the server is killed; every one that it has acknowledged runs in the end."""
    acknowledged = []

    def send():
        number = 0
        while number < 200:
            number += 1
            try:
                note.apply_async(("survivors", number), queue="durable", ignore_result=True, retry=False)
                acknowledged.append(number)
            except (redis.ConnectionError, OperationalError):
                time.sleep(0.05)

    gate = str(tmp_path / "gate")
    options = ("--pool", "prefork", "--concurrency", "1", "--queues", "durable")
    with cluster.worker("durable@test", *options, visibility_timeout=2) as worker:
        stand.apply_async((gate,), queue="durable")
        wait_for(pathlib.Path(gate + ".started").exists, "the worker is busy")
        sender = threading.Thread(target=send)
        sender.start()
        # One more is taken by the worker and not acknowledged yet: it is among what has to survive.
        wait_for(lambda: len(acknowledged) > 50 and cluster.broker.hlen("unacked"), "tasks wait")
        cluster.server.stop(signal.SIGKILL)
        cluster.server.start()
        sender.join(60)
        assert not sender.is_alive() and len(acknowledged) > 60
        pathlib.Path(gate).touch()
        wait_for(lambda: {int(number) for number in cluster.notes.lrange("survivors", 0, -1)} >= set(acknowledged),
                 "all tasks have run", timeout=2 * TIMEOUT)
        assert worker.alive()


def test_nothing_is_left_in_the_broker(cluster, worker):
    """What remains after all of the above are the bindings of exchanges to queues."""
    left = [key for key in cluster.broker.scan_iter() if not key.startswith("_kombu.binding")]
    assert left == []
