"""Makes the race of the demonstration a fair one; an application has no use for it.

Tasks this short would mostly run one after the other. So the first `runners` tasks of a race wait for
each other in front of their task, and run when the last of them has arrived. A process that waits
takes no other task: with as many runners as processes, each process has one of them for certain.
"""

from __future__ import annotations

from typing import Any

import redis
from celery import Task
from celery.signals import task_prerun
from django.conf import settings

PATIENCE_SECONDS = 30


def headers(race: str, runners: int) -> dict[str, Any]:
    """The headers that make a task take part in a race."""
    return {"race": race, "runners": runners}


@task_prerun.connect
def wait_at_the_start_line(task: Task, **_: object) -> None:
    race, runners = task.request.get("race"), task.request.get("runners")
    if race is None:
        return
    # On the broker's server, whatever the cache is: the processes must meet even when they share no cache.
    # The client must be more patient than its BLPOP, or it would give up and ask a second time.
    with redis.Redis.from_url(settings.CELERY_BROKER_URL, socket_timeout=2 * PATIENCE_SECONDS) as broker:
        arrivals, go = f"race:{race}:arrivals", f"race:{race}:go"
        arrived = broker.incr(arrivals)
        broker.expire(arrivals, 2 * PATIENCE_SECONDS)
        if arrived == runners:
            with broker.pipeline() as pipeline:
                pipeline.rpush(go, *["go"] * runners).expire(go, PATIENCE_SECONDS).execute()
        if arrived <= runners and broker.blpop([go], PATIENCE_SECONDS) is None:
            # Celery logs it and runs the task all the same.
            raise TimeoutError(f"fewer than {runners} tasks came to the start of {race}")
