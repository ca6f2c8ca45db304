"""Data of all types and encodings, and all that a server holds, told by commands."""

from __future__ import annotations

import random
from collections.abc import Iterable

from support.raw import RawClient

SEED = 20261121

# So large that every collection of the test is packed, and so small that none is.
ALL_PACKED = ["--hash-max-listpack-entries", "100000", "--hash-max-listpack-value", "100000",
              "--zset-max-listpack-entries", "100000", "--zset-max-listpack-value", "100000",
              "--set-max-intset-entries", "100000", "--list-max-listpack-size", "-5"]
NONE_PACKED = ["--hash-max-listpack-entries", "0", "--zset-max-listpack-entries", "0",
               "--set-max-intset-entries", "0", "--list-max-listpack-size", "1"]
CONFIGURATIONS = {"defaults": [], "all packed": ALL_PACKED, "none packed": NONE_PACKED,
                  "plain": ["--rdbcompression", "no", "--rdbchecksum", "no"],
                  "nodes compressed": ["--list-compress-depth", "1", "--list-max-listpack-size", "8"]}

TEXTS = [b"", b"0", b"-1", b"127", b"128", b"-129", b"4095", b"-4096", b"32767", b"32768", b"-8388608", b"8388607",
         b"2147483647", b"-2147483648", b"2147483648", b"9223372036854775807", b"-9223372036854775808",
         b"9223372036854775808", b"007", b"-0", b"1.5", b"\x00\xff binary \r\n", b"x" * 63, b"y" * 64, b"z" * 255,
         b"ab" * 2047, b"ab" * 2048 + b"!", b"long " * 4000]


def fill(client: RawClient) -> None:
    """Values of all types and sizes, integers and texts of all widths, in three databases, some with an expiry."""
    generator = random.Random(SEED)

    def text() -> bytes:
        if generator.random() < 0.5:
            return generator.choice(TEXTS[:-2])
        return b"%d-%d" % (generator.randrange(10**6), generator.randrange(10**6))

    def scores():
        return generator.choice([b"0", b"-0", b"1", b"-1.5", b"3.14159265358979", b"1e300", b"-1e-300", b"inf", b"-inf",
                                 b"9007199254740993", b"%d" % generator.randrange(10**9)])

    for database in (0, 1, 9):
        client.call("SELECT", database)
        for number, value in enumerate(TEXTS):
            client.call("SET", b"string:%d" % number, value)
            client.call("SET", b"key:" + value, b"v")
        client.call("SET", "appended", "12")
        client.call("APPEND", "appended", "34")
        client.call("SET", "huge", generator.randbytes(3_000_000))
        for size in (1, 2, 3, 7, 8, 63, 64, 65, 127, 128, 129, 255, 256, 511, 512, 513, 1000, 5000):
            client.call("RPUSH", f"list:{size}", *(text() for _ in range(size)))
            client.call("SADD", f"set:{size}", *(text() for _ in range(size)))
            client.call("SADD", f"numbers:{size}", *range(size))
            client.call("SADD", f"wide:{size}", *(generator.choice((3, 2**20, 2**40)) * n for n in range(-size, size)))
            client.call("HSET", f"hash:{size}", *(text() for _ in range(2 * size)))
            client.call("ZADD", f"zset:{size}", *(part for _ in range(size) for part in (scores(), text())))
            client.call("ZADD", f"integral:{size}", *(part for n in range(size) for part in (n * n - 100, text())))
        for moment, kind in enumerate((b"string:3", b"list:128", b"set:7", b"hash:64", b"zset:129", b"numbers:512")):
            client.call("PEXPIREAT", kind, 4_000_000_000_123 + moment)


def scan(client: RawClient) -> set:
    """All keys of the selected database."""
    keys, cursor = set(), b"0"
    while True:
        cursor, some = client.call("SCAN", cursor, "COUNT", 1000)
        keys.update(some)
        if cursor == b"0":
            return keys


def contents(client: RawClient, databases: Iterable[int] = (0, 1, 9)) -> dict:
    """All data by commands, in a form that does not depend on an order that has no meaning."""
    data = {}
    for database in databases:
        assert client.call("SELECT", database) == b"OK"
        for key in scan(client):
            kind = client.call("TYPE", key)
            if kind == b"string":
                value = client.call("GET", key)
            elif kind == b"list":
                value = client.call("LRANGE", key, 0, -1)
            elif kind == b"set":
                value = sorted(client.call("SMEMBERS", key))
            elif kind == b"hash":
                pairs = client.call("HGETALL", key)
                value = dict(zip(pairs[::2], pairs[1::2]))
            else:
                pairs = client.call("ZRANGE", key, 0, -1, "WITHSCORES")
                value = [(member, float(score)) for member, score in zip(pairs[::2], pairs[1::2])]
            data[database, key] = (kind, client.call("PEXPIRETIME", key), value)
    return data
