"""The Celery application of a site whose broker and results are in database 0."""

from __future__ import annotations

import os

from celery import Celery


def make(server_url: str) -> Celery:
    """`server_url` ends in a slash."""
    made = Celery("four_roles")
    made.conf.update(
        broker_url=server_url + "0",
        result_backend=server_url + "0",
        broker_connection_retry_on_startup=True,
        task_acks_late=True,
        task_track_started=True,
        worker_send_task_events=True,
    )

    @made.task(name="add", shared=False)
    def add(x, y):
        return x + y

    return made


if "FOUR_ROLES_URL" in os.environ:
    app = make(os.environ["FOUR_ROLES_URL"])
