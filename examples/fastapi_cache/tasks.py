"""The work that a request does not wait for.

    celery -A fastapi_cache.tasks worker
    celery -A fastapi_cache.tasks flower
"""

from __future__ import annotations

from celery import Celery

from .cache import Cache
from .settings import settings

celery = Celery("shop", broker=settings.broker_url, backend=settings.result_url)
celery.conf.update(
    result_expires=settings.result_ttl,
    task_acks_late=True,  # a task is acknowledged when it is done, so that it survives the death of its worker
    task_track_started=True,
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,  # what Flower shows
    task_send_sent_event=True,
    broker_connection_retry_on_startup=True,
    # A request would rather hear that the broker is away than wait for its return.
    broker_transport_options={"max_retries": 1, "interval_start": 0, "socket_connect_timeout": 1},
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0},
    result_backend_transport_options={"retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0}},
)

cache = Cache.from_url(settings.cache_url, timeout=settings.cache_timeout, prefix=settings.cache_prefix,
                       ttl=settings.cache_ttl, serializer=settings.cache_serializer)


class GatewayDown(Exception):
    """The other side of a network did not answer; the next attempt may well succeed."""


@celery.task
def report(title: str, prices: list[float]) -> dict:
    """The summary of a list of prices, which the web application finds in the cache afterwards."""
    summary = {"title": title, "count": len(prices), "total": round(sum(prices), 2)}
    cache.tags("reports").put(title, summary)
    return summary


@celery.task(bind=True, autoretry_for=(GatewayDown,), retry_backoff=1, retry_backoff_max=2, retry_jitter=False,
             max_retries=5)
def notify(self, address: str, failures: int = 0) -> dict:
    """Delivers a message over a gateway that fails the first `failures` times."""
    if self.request.retries < failures:
        raise GatewayDown(f"attempt {self.request.retries + 1} to reach {address}")
    return {"address": address, "attempts": self.request.retries + 1}
