from __future__ import annotations

import requests
from celery import shared_task
from django.db import transaction

from jobs import board_cache, scraping
from jobs.models import Job


@shared_task
def scrape(source: str) -> dict[str, int] | None:
    """Brings the postings of a source up to date; None when another worker is at it already."""
    lock = board_cache.scraping_lock(source)
    if not lock.acquire(blocking=False):
        return None
    try:
        board_cache.set_status(source, "running")
        postings = scraping.postings(source)
        new = store(source, postings)
        board_cache.forget_listings()
        board_cache.set_status(source, "finished", found=len(postings), new=new)
        return {"found": len(postings), "new": new}
    except requests.RequestException as error:
        board_cache.set_status(source, "failed", error=str(error))
        raise
    finally:
        lock.release()


def store(source: str, postings: list[scraping.Posting]) -> int:
    """Adds and updates postings, all or none, and returns how many are new."""
    with transaction.atomic():
        return sum(
            Job.objects.update_or_create(url=posting.url, defaults={
                "title": posting.title, "company": posting.company,
                "location": posting.location, "source": source,
            })[1]
            for posting in postings
        )
