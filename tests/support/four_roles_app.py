"""The Celery application of a site whose broker and results are in database 0."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("four_roles")


def configure(server_url: str) -> None:
    """`server_url` ends in a slash."""
    app.conf.update(
        broker_url=server_url + "0",
        result_backend=server_url + "0",
        broker_connection_retry_on_startup=True,
        task_acks_late=True,
        task_track_started=True,
        worker_send_task_events=True,
    )


if "FOUR_ROLES_URL" in os.environ:
    configure(os.environ["FOUR_ROLES_URL"])


@app.task
def add(x, y):
    return x + y
