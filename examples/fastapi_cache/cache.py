"""A cache facade in the manner of Laravel's, on redis-py.

    cache.put("greeting", "hello", ttl=60)
    user = cache.remember("user:7", 300, lambda: load_user(7))
    cache.tags("users", "reports").put("monthly", rows)
    cache.tags("users").flush()          # forgets "monthly" too, and everything else tagged "users"

The cache is an optimisation, never a dependency: when the server is away or slow, or an entry cannot be read,
every method logs a warning and answers as an empty cache would, and the caller does the work itself.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import re
import secrets
from typing import Any, Callable, Iterator

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

FOREVER = 0  # as a TTL: the entry stays until it is forgotten, flushed or evicted


class JsonSerializer:
    """Readable by every language, and by `redis-cli`; knows dicts, lists, strings, numbers, booleans and None."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value, separators=(",", ":")).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class PickleSerializer:
    """Any Python object. Only for a database that nobody but this application writes to: unpickling runs code."""

    def dumps(self, value: Any) -> bytes:
        # An integer stays in digits, because INCRBY works on those; no pickle begins with a digit or a minus.
        return b"%d" % value if type(value) is int else pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    def loads(self, data: bytes) -> Any:
        return int(data) if re.fullmatch(rb"-?\d+", data) else pickle.loads(data)


SERIALIZERS = {"json": JsonSerializer, "pickle": PickleSerializer}


class Cache:
    def __init__(self, client: redis.Redis, prefix: str = "cache", ttl: int = 300, serializer: str = "json"):
        """`client` must not decode responses. `ttl`, in seconds, is for entries that are stored without one."""
        self._client = client
        self._prefix = prefix
        self._ttl = ttl
        self._serializer = SERIALIZERS[serializer]()

    @classmethod
    def from_url(cls, url: str, timeout: float = 0.5, **options: Any) -> Cache:
        """A cache on a connection pool of its own; no command waits longer than about `timeout` seconds.

        The one retry, without a pause, replaces a pooled connection that died with a restart of the server.
        """
        client = redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout,
                                      retry=Retry(NoBackoff(), 1))
        return cls(client, **options)

    # Reading

    def get(self, key: str, default: Any = None) -> Any:
        found, value = self._read(self._locate(key))
        return value if found else default

    def has(self, key: str) -> bool:
        return bool(self._try(False, lambda: self._client.exists(self._name(key))))

    def pull(self, key: str, default: Any = None) -> Any:
        """Takes the entry out of the cache."""
        found, value = self._decode(key, self._try(None, lambda: self._client.getdel(self._name(key))))
        return value if found else default

    # Writing

    def put(self, key: str, value: Any, ttl: int | None = None) -> bool:
        """Whether the value was stored. `ttl` in seconds: None for the default, FOREVER for no expiry."""
        return self._store(self._locate(key), value, ttl)

    def forever(self, key: str, value: Any) -> bool:
        return self._store(self._locate(key), value, FOREVER)

    def add(self, key: str, value: Any, ttl: int | None = None) -> bool:
        """Stores only what is not there yet: of many callers at once exactly one is answered True."""
        return self._store(self._locate(key), value, ttl, only_if_absent=True)

    def remember(self, key: str, ttl: int | None, compute: Callable[[], Any]) -> Any:
        """Cache-aside in one call: the cached value, or that of `compute`, which is then cached. None is a value."""
        name = self._locate(key)  # Once for both: see TaggedCache on what a flush during `compute` means.
        found, value = self._read(name)
        if not found:
            value = compute()
            self._store(name, value, ttl)
        return value

    def increment(self, key: str, amount: int = 1) -> int | None:
        """The new count, or None when the cache is away. A counter that begins here lives for the default TTL."""
        def run() -> int:
            name = self._name(key)
            with self._client.pipeline(transaction=True) as transaction:
                transaction.set(name, 0, ex=self._ttl or None, nx=True)
                transaction.incrby(name, amount)
                return transaction.execute()[1]
        return self._try(None, run)

    def decrement(self, key: str, amount: int = 1) -> int | None:
        return self.increment(key, -amount)

    # Forgetting

    def forget(self, key: str) -> bool:
        """Whether there was an entry."""
        return bool(self._try(False, lambda: self._client.unlink(self._name(key))))

    def flush(self) -> bool:
        """Forgets every entry under this prefix, and nothing else in the database."""
        def run() -> bool:
            for batch in self._batches():
                self._client.unlink(*batch)
            return True
        return self._try(False, run)

    def tags(self, *names: str) -> TaggedCache:
        return TaggedCache(self, names)

    # What the methods above are made of

    def _name(self, key: str) -> str:
        return f"{self._prefix}:{key}"

    def _batches(self, size: int = 500) -> Iterator[list[bytes]]:
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", self._prefix) + ":*"
        batch: list[bytes] = []
        for name in self._client.scan_iter(match=pattern, count=size):
            batch.append(name)
            if len(batch) >= size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _locate(self, key: str) -> str | None:
        """The entry's name, or None when it takes the server to find it and the server is away."""
        return self._try(None, lambda: self._name(key))

    def _read(self, name: str | None) -> tuple[bool, Any]:
        data = self._try(None, lambda: self._client.get(name)) if name else None
        return self._decode(name, data)

    def _decode(self, name: str | None, data: bytes | None) -> tuple[bool, Any]:
        if data is None:
            return False, None
        try:
            return True, self._serializer.loads(data)
        except Exception as error:  # Whatever a foreign or outdated entry makes the serializer raise, it is a miss.
            log.warning("cache entry %r cannot be read: %s", name, error)
            return False, None

    def _store(self, name: str | None, value: Any, ttl: int | None, only_if_absent: bool = False) -> bool:
        data = self._serializer.dumps(value)  # A value that cannot be serialized is the caller's bug, and raises.
        if name is None:
            return False
        seconds = self._ttl if ttl is None else ttl
        return bool(self._try(False, lambda: self._client.set(name, data, ex=seconds or None, nx=only_if_absent)))

    def _try(self, otherwise: Any, run: Callable[[], Any]) -> Any:
        try:
            return run()
        except redis.RedisError as error:
            log.warning("cache unavailable: %s", error)
            return otherwise


class TaggedCache(Cache):
    """Entries that are forgotten together.

    Every tag has a version, and the versions are part of an entry's name: flushing a tag gives it a new version,
    which costs the same for ten entries as for ten million. A value that was computed from old data while the flush
    happened is stored under the old version, where nobody looks any more. What is left behind goes by its TTL, or
    by eviction: give the cache's database a `maxmemory` and the policy `allkeys-lru`.
    """

    def __init__(self, cache: Cache, names: tuple[str, ...]):
        if not names:
            raise ValueError("tags() needs at least one name")
        self._client, self._prefix, self._ttl = cache._client, cache._prefix, cache._ttl
        self._serializer = cache._serializer
        self._version_keys = [f"{cache._prefix}:tag:{name}" for name in sorted(set(names))]

    def flush(self) -> bool:
        """Forgets every entry that carries any of these tags."""
        versions = {key: secrets.token_hex(8) for key in self._version_keys}
        return bool(self._try(False, lambda: self._client.mset(versions)))

    def _name(self, key: str) -> str:
        digest = hashlib.sha1(b"|".join(self._versions())).hexdigest()[:16]
        return f"{self._prefix}:tagged:{digest}:{key}"

    def _versions(self) -> list[bytes]:
        """The tags' versions; a tag that is new, or was evicted, begins a new one, the same for all who ask."""
        found = self._client.mget(self._version_keys)
        for position, key in enumerate(self._version_keys):
            if found[position] is None:
                fresh = secrets.token_hex(8).encode()
                found[position] = self._client.set(key, fresh, nx=True, get=True) or fresh
        return [key.encode() + b"=" + version for key, version in zip(self._version_keys, found)]
