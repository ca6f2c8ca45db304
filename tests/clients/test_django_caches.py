"""What Django's documentation promises of a cache, on its own RedisCache, on django-redis and on PyMemcacheCache, all against
one Quartet; and that each finds what the others have stored, where they write values in the same way.
"""

from __future__ import annotations

import concurrent.futures
import pickle
import warnings

import django
import pytest
from django.conf import settings
from django.core.cache import InvalidCacheKey, caches
from django.core.cache.backends.base import CacheKeyWarning
from django.core.cache.backends.memcached import PyMemcacheCache
from pymemcache.exceptions import MemcacheServerError

from support.memcached import CacheServer

BACKENDS = ["redis", "django-redis", "memcached"]


@pytest.fixture(scope="module")
def server():
    with CacheServer() as running:
        redis_url = running.url(1)
        memcached = f"127.0.0.1:{running.memcached_port}"
        if not settings.configured:
            settings.configure()
            django.setup()
        settings.CACHES = {
            "redis": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url},
            "django-redis": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis_url},
            "memcached": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": memcached},
            "memcached-prefixed": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": memcached, "KEY_PREFIX": "other"},
            "memcached-short": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": memcached, "TIMEOUT": 100},
        }
        caches._settings = caches.settings = caches.configure_settings(None)
        yield running


@pytest.fixture(params=BACKENDS)
def cache(request, server):
    chosen = caches[request.param]
    chosen.clear()
    yield chosen
    chosen.close()


VALUES = {"text": "hello", "unicode": "\u20ac \u00e4 \U0001d11e", "bytes": b"\x00\xff", "number": 5, "negative": -5, "large number": 2**70, "fraction": 1.5, "true": True, "none": None,
          "list": [1, "a", None], "nested": {"a": (1, {"b": [2]})}, "empty": "", "long": "x" * 3_000_000}


def test_values_come_back_as_they_were(cache):
    for name, value in VALUES.items():
        key = name.replace(" ", "-")
        cache.set(key, value)
        got = cache.get(key)
        assert got == value and type(got) is type(value)
    keys = [name.replace(" ", "-") for name in VALUES]
    assert cache.get_many([*keys, "missing"]) == dict(zip(keys, VALUES.values()))


def test_a_stored_none_is_no_miss(cache):
    cache.set("k", None)
    sentinel = object()
    assert cache.get("k", sentinel) is None
    assert cache.get("missing", sentinel) is sentinel
    assert cache.get_or_set("k", "default") is None
    assert cache.has_key("k") and "k" in cache and "missing" not in cache


def test_add_stores_only_where_there_is_nothing(cache):
    assert cache.add("k", 1) is True
    assert cache.add("k", 2) is False
    assert cache.get("k") == 1
    cache.add("zero", 1, timeout=0)
    assert cache.get("zero") is None and cache.add("zero", 2) is True


def test_get_or_set(cache):
    assert cache.get_or_set("k", "v", 100) == "v"
    assert cache.get_or_set("k", "w", 100) == "v"
    assert cache.get_or_set("callable", lambda: "made") == "made"
    with pytest.raises(TypeError):
        cache.get_or_set("no default")
    assert cache.get_or_set("none", None) is None


def test_many_at_once(cache):
    assert not cache.set_many({"a": 1, "b": [2], "c": None})
    assert cache.get_many(["a", "b", "c", "d"]) == {"a": 1, "b": [2], "c": None}
    cache.set_many({"short": 1}, timeout=-1)
    assert cache.get("short") is None
    cache.delete_many(["a", "b", "missing"])
    assert cache.get_many(["a", "b", "c"]) == {"c": None}
    cache.clear()
    assert cache.get("c", "gone") == "gone"


def test_delete_and_touch_say_whether_there_was_something(cache):
    cache.set("k", 1)
    assert cache.touch("k", 100) is True and cache.touch("missing", 100) is False
    assert cache.get("k") == 1
    assert cache.touch("k", None) is True and cache.get("k") == 1
    assert cache.delete("k") is True and cache.delete("k") is False
    cache.set("k", 1)
    assert cache.touch("k", 0) is True and cache.get("k") is None


def test_counters(cache):
    cache.set("n", 1)
    assert cache.incr("n") == 2 and cache.incr("n", 10) == 12 and cache.decr("n") == 11 and cache.decr("n", 5) == 6
    assert cache.get("n") == 6
    for change in (cache.incr, cache.decr):
        with pytest.raises(ValueError):
            change("missing")
    cache.set("text", "abc")
    with pytest.raises(Exception):
        cache.incr("text")
    assert cache.get("text") == "abc"


def test_timeouts(cache):
    cache.set("never", 1, timeout=None)
    cache.set("zero", 1, timeout=0)
    cache.set("past", 1, timeout=-1)
    cache.set("later", 1, timeout=100)
    cache.set("much-later", 1, timeout=60 * 60 * 24 * 365)
    assert cache.get("never") == 1 and cache.get("later") == 1 and cache.get("much-later") == 1 and cache.get("zero") is None and cache.get("past") is None
    # What a passed timeout replaces is gone.
    cache.set("later", 2, timeout=0)
    assert cache.get("later") is None
    cache.set("never", 2, timeout=-5)
    assert cache.get("never") is None


def test_versions(cache):
    cache.set("k", "first", version=1)
    cache.set("k", "second", version=2)
    assert cache.get("k") == "first" and cache.get("k", version=2) == "second" and cache.get("k", version=3) is None
    assert cache.incr_version("k") == 2
    assert cache.get("k") is None and cache.get("k", version=2) == "first"
    assert cache.decr_version("k", version=2) == 1
    assert cache.get("k") == "first"
    with pytest.raises(ValueError):
        cache.incr_version("missing")
    assert cache.delete("k", version=5) is False


def test_keys_that_memcached_does_not_take(server):
    memcached = caches["memcached"]
    for key in ("with space", "control\n", "k" * 300, "\x7f"):
        for use in (lambda: memcached.set(key, 1), lambda: memcached.get(key), lambda: memcached.add(key, 1), lambda: memcached.incr(key), lambda: memcached.delete(key),
                    lambda: memcached.touch(key), lambda: memcached.get_many([key]), lambda: memcached.set_many({key: 1}), lambda: memcached.delete_many([key])):
            with pytest.raises(InvalidCacheKey):
                use()
    for name in ("redis", "django-redis"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CacheKeyWarning)
            caches[name].set("with space", 1)
            assert caches[name].get("with space") == 1
    for name in BACKENDS:
        caches[name].set("\u00e4\u20ac", name)
        assert caches[name].get("\u00e4\u20ac") == name


def test_a_value_that_is_too_large_is_an_error_and_leaves_no_old_one():
    with CacheServer("--db.1.memcached-item-size-max", "100kb") as small:
        cache = PyMemcacheCache(f"127.0.0.1:{small.memcached_port}", {})
        cache.set("large", "small still")
        with pytest.raises(MemcacheServerError, match="too large"):
            cache.set("large", "x" * 200_000)
        # What it was to replace is not taken for current.
        assert cache.get("large") is None
        cache.set("large", "small again")
        assert cache.get("large") == "small again"
        cache.close()


def test_prefixes_and_default_timeouts(server):
    caches["memcached"].clear()
    caches["memcached"].set("k", "plain")
    caches["memcached-prefixed"].set("k", "prefixed")
    assert caches["memcached"].get("k") == "plain" and caches["memcached-prefixed"].get("k") == "prefixed"
    caches["memcached-short"].set("timed", 1)
    assert 0 < caches["django-redis"].ttl("timed") <= 100
    caches["memcached-short"].set("timed", 1, timeout=None)
    assert caches["django-redis"].ttl("timed") is None


def test_each_finds_what_the_others_have_stored(server):
    """All name a key `:1:k`. Numbers are digits to all of them; other values are pickled by both Redis backends, and by PyMemcacheCache where
    they are neither text nor bytes nor numbers: but that it tells by flags, which only its own values have."""
    for writer in BACKENDS:
        caches[writer].clear()
        caches[writer].set("number", 42, timeout=100)
        for reader in BACKENDS:
            assert "number" in caches[reader]
            assert int(caches[reader].get("number")) == 42
            assert caches[reader].touch("number", 200) is True
        assert caches["redis"].incr("number") == 43 and caches["memcached"].incr("number") == 44 and caches["django-redis"].incr("number") == 45
        assert caches["memcached"].add("number", 1) is False and caches["redis"].add("number", 1) is False
        caches[writer].delete("number")
        assert all("number" not in caches[reader] for reader in BACKENDS)
    caches["memcached"].set("pickled", {"a": [1]})
    assert caches["redis"].get("pickled") == caches["django-redis"].get("pickled") == {"a": [1]}
    caches["redis"].set("pickled", {"a": [2]})
    assert pickle.loads(caches["memcached"].get("pickled")) == {"a": [2]}


@pytest.mark.parametrize("name", BACKENDS)
def test_one_of_many_adds_wins(server, name):
    """The lock of a site: of those who add the same key one is told that it was the first."""
    caches[name].clear()

    def attempt(_: int) -> bool:
        mine = caches[name]  # each thread has its own
        try:
            return mine.add("lock", 1, 100)
        finally:
            mine.close()

    with concurrent.futures.ThreadPoolExecutor(10) as threads:
        assert sum(threads.map(attempt, range(100))) == 1
