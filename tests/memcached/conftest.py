import pytest

from support.memcached import CacheServer, Memcached, TextClient
from support.raw import RawClient


@pytest.fixture(scope="module")
def server():
    # As large as memcached lets items be by default.
    with CacheServer("--db.1.memcached-item-size-max", "1mb") as running:
        yield running


@pytest.fixture(scope="module")
def reference():
    # Without the thread that keeps its lists in order: whether it happens to hold an item decides whether decr fills up.
    with Memcached("-o", "no_lru_maintainer,no_lru_crawler") as running:
        yield running


@pytest.fixture
def text(server):
    """A client of memcached's protocol on an empty database."""
    with TextClient(server.memcached_port) as client:
        assert client.ask(b"flush_all\r\n") == b"OK\r\n"
        yield client


@pytest.fixture
def resp(server):
    """A client of RESP in the same database."""
    with RawClient(server.port) as client:
        assert client.call("SELECT", 1) == b"OK"
        yield client
