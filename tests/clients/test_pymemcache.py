"""pymemcache: one connection, a pool, several servers by hash, serializers and compression."""

from __future__ import annotations

import concurrent.futures
import contextlib
import pickle
import zlib

import pytest
import redis
from pymemcache import serde
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient
from pymemcache.exceptions import MemcacheClientError, MemcacheIllegalInputError

from support.memcached import CacheServer


@pytest.fixture(scope="module")
def server():
    with CacheServer() as running:
        yield running


@pytest.fixture
def client(server):
    with contextlib.closing(Client(("127.0.0.1", server.memcached_port), timeout=30, connect_timeout=30)) as made:
        made.flush_all()
        yield made


def test_all_operations(client):
    assert client.set("k", "v", noreply=False)
    assert client.get("k") == b"v"
    assert client.get("none") is None and client.get("none", 5) == 5
    assert client.add("k", "x", noreply=False) is False and client.add("new", "x", noreply=False) is True
    assert client.replace("none", "x", noreply=False) is False and client.replace("k", "w", noreply=False) is True
    assert client.append("k", "2", noreply=False) and client.prepend("k", "0", noreply=False)
    assert client.get("k") == b"0w2"
    value, number = client.gets("k")
    assert value == b"0w2" and client.cas("k", "changed", number, noreply=False) is True
    assert client.cas("k", "again", number, noreply=False) is False and client.cas("none", "x", number, noreply=False) is None
    assert client.set_many({"a": "1", "b": "2"}, noreply=False) == []
    assert client.get_many(["a", "none", "b"]) == {"a": b"1", "b": b"2"}
    assert set(client.gets_many(["a", "b"])) == {"a", "b"}
    assert client.incr("a", 5) == 6 and client.decr("a", 100) == 0 and client.incr("none", 1) is None
    with pytest.raises(MemcacheClientError):
        client.incr("k", 1)
    assert client.touch("a", 100, noreply=False) is True and client.touch("none", 100, noreply=False) is False
    assert client.raw_command("gat 200 a", "END\r\n") == b"VALUE a 0 1\r\n0\r\n"
    assert client.delete("a", noreply=False) is True and client.delete("a", noreply=False) is False
    assert client.delete_many(["b", "k"], noreply=False)
    assert client.version().startswith(b"1.6")
    assert client.stats()[b"curr_items"] == 1 and client.stats("settings")[b"cas_enabled"] in (True, b"yes")
    assert client.flush_all(noreply=False) is True
    assert client.raw_command("mn", "MN\r\n") == b""
    for key in ("with space", "k" * 251, "control\n"):
        with pytest.raises(MemcacheIllegalInputError):
            client.get(key)


def test_noreply_leaves_nothing_to_read(client):
    for number in range(1000):
        client.set(f"k{number}", str(number))
    client.set_many({f"m{number}": str(number) for number in range(1000)})
    client.delete("k5")
    assert client.get("k5") is None and client.get("k999") == b"999" and client.get("m999") == b"999"


def test_many_keys_and_large_values(client):
    values = {f"key:{number:06d}": b"%d" % number for number in range(20_000)}
    assert client.set_many(values, noreply=False) == []
    assert client.get_many(list(values)) == values
    large = bytes(range(256)) * 80_000
    assert client.set("large", large, noreply=False)
    assert client.get("large") == large


def test_serializers_and_flags(server):
    for made in (serde.pickle_serde, serde.compressed_serde, serde.CompressedSerde(compress=zlib.compress, decompress=zlib.decompress, min_compress_len=0)):
        with contextlib.closing(Client(("127.0.0.1", server.memcached_port), serde=made)) as client:
            for value in ("text, \u20ac", b"bytes", 5, 2**70, 1.5, None, [1, {"a": (2,)}], "long " * 10_000):
                assert client.set("k", value, noreply=False)
                assert client.get("k") == value
    with redis.Redis(port=server.port, db=1) as other:
        with contextlib.closing(Client(("127.0.0.1", server.memcached_port), serde=serde.pickle_serde)) as client:
            client.set("k", [1, 2], noreply=False)
            assert pickle.loads(other.get("k")) == [1, 2]
            # Another client's value has no flags: it is bytes.
            other.set("k", "plain")
            assert client.get("k") == b"plain"


def test_a_pool_that_threads_share(server):
    client = PooledClient(("127.0.0.1", server.memcached_port), max_pool_size=16, timeout=30)
    client.set("counter", "0", noreply=False)

    def work(number: int) -> int:
        client.set(f"pool:{number}", str(number), noreply=False)
        client.incr("counter", 1)
        return int(client.get(f"pool:{number}"))

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        assert list(threads.map(work, range(500))) == list(range(500))
    assert client.get("counter") == b"500"
    client.close()


def test_several_servers_by_hash(server):
    with CacheServer() as second:
        client = HashClient([("127.0.0.1", server.memcached_port), ("127.0.0.1", second.memcached_port)], use_pooling=True, timeout=30)
        values = {f"hash:{number}": b"%d" % number for number in range(1000)}
        assert client.set_many(values, noreply=False) == []
        assert client.get_many(list(values)) == values
        sizes = [redis.Redis(port=each.port, db=1).dbsize() for each in (server, second)]
        assert min(sizes) > 200
        client.flush_all()
        client.close()


def test_a_unix_socket(tmp_path):
    path = str(tmp_path / "cache.sock")
    with CacheServer("--db.1.memcached-unixsocket", path):
        client = RetryingClient(Client(path, timeout=30), attempts=3)
        assert client.set("k", "v", noreply=False)
        assert client.get("k") == b"v"
        client.close()


@pytest.mark.parametrize("way", ["TCP", "Unix socket"])
def test_a_server_with_a_password_that_is_open_to_this_machine(tmp_path, way):
    """As docs/MEMCACHED.md advises, because pymemcache has no way to authenticate."""
    path = str(tmp_path / "memcached.sock")
    with CacheServer("--requirepass", "secret", "--db.1.memcached-open-to-local", "yes", "--db.1.memcached-unixsocket", path) as running:
        where = ("127.0.0.1", running.memcached_port) if way == "TCP" else path
        with contextlib.closing(Client(where, timeout=30, connect_timeout=30)) as client:
            assert client.set("k", "v", noreply=False) and client.get("k") == b"v"
        with redis.Redis(port=running.port, db=1, password="secret") as other:
            assert other.get("k") == b"v"
