"""The Celery application of test_celery.py, for the test itself and for the workers that it starts."""

from __future__ import annotations

import os
import pathlib
import signal
import time

import redis
from celery import Celery

app = Celery("probe")


def configure(server_url: str, visibility_timeout: float = 3600, query: str = "") -> None:
    """`server_url` ends in a slash: database 0 is the broker, 3 holds the results, 5 the notes of the tasks. `query` is added to
    the addresses."""
    app.conf.update(
        broker_url=server_url + "0" + query,
        result_backend=server_url + "3" + query,
        notes_url=server_url + "5" + query,
        broker_connection_retry_on_startup=True,
        # Workers look for overdue tasks every second and not, as by default, every 100 seconds.
        broker_transport_options={"visibility_timeout": visibility_timeout, "queue_order_strategy": "priority",
                                  "unacked_restore_interval": 1, "unacked_restore_throttle": 1},
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_send_sent_event=True,
        result_extended=True,
    )


if "PROBE_SERVER_URL" in os.environ:
    configure(os.environ["PROBE_SERVER_URL"], float(os.environ.get("PROBE_VISIBILITY_TIMEOUT", "3600")),
              os.environ.get("PROBE_SERVER_QUERY", ""))


def notes() -> redis.Redis:
    """Where a task leaves what must survive the death of its worker."""
    return redis.Redis.from_url(app.conf.notes_url, decode_responses=True)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def gather(values):
    return values


@app.task
def echo_late(value, delay):
    """Answers after `delay` seconds, so that a chord's headers end in another order than they began."""
    time.sleep(delay)
    return value


@app.task
def fail(message):
    raise ValueError(message)


@app.task
def note(name, value):
    with notes() as client:
        client.rpush(name, value)


@app.task(ignore_result=True)
def ignored():
    return "nobody hears this"


@app.task(ignore_result=True)
def stand(path):
    """Runs until the file is there, at most 60 seconds, and needs no server for that."""
    pathlib.Path(path + ".started").touch()
    deadline = time.monotonic() + 60
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.05)


@app.task
def hold(name):
    """Runs until somebody pushes to `<name>:release`, at most 30 seconds."""
    with notes() as client:
        client.rpush(f"{name}:started", os.getpid())
        return client.blpop([f"{name}:release"], timeout=30) is not None


@app.task(acks_late=True)
def hold_late(name):
    return hold.run(name)


@app.task(acks_late=True, reject_on_worker_lost=True)
def die_once(name):
    """Takes its own process away at the first attempt."""
    with notes() as client:
        attempt = client.incr(name)
    if attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return attempt


@app.task(bind=True, max_retries=3)
def succeed_at(self, attempt):
    if self.request.retries + 1 < attempt:
        raise self.retry(countdown=0.1)
    return self.request.retries + 1
