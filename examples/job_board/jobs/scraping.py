"""Fetches a page of postings, by way of a proxy where there are any, and reads what is on it."""

from __future__ import annotations

import random
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urljoin

import requests
from django.conf import settings

from jobs import board_cache

TIMEOUT_SECONDS = 10


class Posting(NamedTuple):
    url: str
    title: str
    company: str
    location: str


class PostingParser(HTMLParser):
    """Reads `<a class="job" href="..." data-company="..." data-location="...">title</a>`."""

    def __init__(self, address: str):
        super().__init__()
        self.address = address
        self.postings: list[Posting] = []
        self.open: Posting | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        if tag == "a" and found.get("class") == "job" and "href" in found:
            self.open = Posting(urljoin(self.address, found["href"]), "",
                                found.get("data-company", ""), found.get("data-location", ""))

    def handle_data(self, text: str) -> None:
        if self.open:
            self.open = self.open._replace(title=self.open.title + text)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self.open:
            self.postings.append(self.open._replace(title=self.open.title.strip()))
            self.open = None


def fetch_proxies() -> list[str]:
    response = requests.get(settings.PROXY_LIST_URL, timeout=TIMEOUT_SECONDS)
    response.raise_for_status()
    return response.text.split()


def fetch(address: str) -> str:
    """The page at `address`. With a list of proxies it is asked through these and never directly."""
    if not settings.PROXY_LIST_URL:
        return get(address, {})
    candidates = board_cache.proxies(fetch_proxies)
    random.shuffle(candidates)  # Spreads the load over the proxies.
    for proxy in candidates:
        try:
            return get(address, {"http": proxy, "https": proxy})
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout):
            board_cache.proxy_failed(proxy)
    raise requests.exceptions.ProxyError(f"none of {len(candidates)} proxies works")


def get(address: str, proxies: dict[str, str]) -> str:
    response = requests.get(address, proxies=proxies, timeout=TIMEOUT_SECONDS)
    response.raise_for_status()
    return response.text


def postings(source: str) -> list[Posting]:
    address = settings.SCRAPE_SOURCES[source]
    parser = PostingParser(address)
    parser.feed(fetch(address))
    return parser.postings
