"""What the board keeps in its cache `jobs`: listings, how the scraping goes, and proxies.

Everything here can be lost at any moment and comes back by itself: a missing listing is queried again,
a missing status reads as "never", and without proxies the list is fetched again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypedDict

from django.core.cache import caches
from django.utils import timezone

jobs = caches["jobs"]

STATUS_SECONDS = 24 * 3600
PROXY_LIST_SECONDS = 10 * 60
PROXY_PENALTY_SECONDS = 5 * 60
# Longer than any scraping takes; when a worker dies, its source can be scraped again after so long.
SCRAPING_SECONDS = 10 * 60


# Listings ------------------------------------------------------------------------------------------

def listing(location: str, page: int, query: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The listing from the cache, or else from `query`.

    The generation is read before the query. A listing that was computed while new postings arrived is
    thus stored under the old generation, where nobody finds it, and not as the new one.
    """
    generation = jobs.get_or_set("listing:generation", new_generation)
    return jobs.get_or_set(f"listing:{generation}:{location}:{page}", query)


def forget_listings() -> None:
    """Makes all listings old at once. They are not searched for: their timeout removes them."""
    jobs.set("listing:generation", new_generation())


def new_generation() -> str:
    # Random and not a count, which would begin again, and find old listings, if the cache lost it.
    return secrets.token_hex(8)


# Scraping status -----------------------------------------------------------------------------------

class Status(TypedDict):
    state: str  # "running", "finished" or "failed"
    found: int
    new: int
    error: str
    since: datetime


def set_status(source: str, state: str, found: int = 0, new: int = 0, error: str = "") -> None:
    status = Status(state=state, found=found, new=new, error=error, since=timezone.now())
    jobs.set(f"status:{source}", status, STATUS_SECONDS)


def statuses(sources: list[str]) -> dict[str, Status | None]:
    """The status of every source, by one round trip. None for a source that was not scraped lately."""
    found = jobs.get_many([f"status:{source}" for source in sources])
    return {source: found.get(f"status:{source}") for source in sources}


def scraping_lock(source: str):
    """A lock across all workers. It is released only by whoever holds it, and expires on its own."""
    return jobs.lock(f"scraping:{source}", timeout=SCRAPING_SECONDS)


# Proxies -------------------------------------------------------------------------------------------

def proxies(fetch: Callable[[], list[str]]) -> list[str]:
    """The proxies that have not failed lately; `fetch` is asked for the list now and then."""
    known = jobs.get_or_set("proxies", fetch, PROXY_LIST_SECONDS)
    # A key for each failure: two workers that changed one shared list would overwrite each other's change.
    failed = jobs.get_many([f"proxy:failed:{proxy}" for proxy in known])
    return [proxy for proxy in known if f"proxy:failed:{proxy}" not in failed]


def proxy_failed(proxy: str) -> None:
    jobs.set(f"proxy:failed:{proxy}", True, PROXY_PENALTY_SECONDS)
