"""RDB files and DUMP payloads go to and from redis-server 7.0 without a difference."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import struct
import subprocess
from collections.abc import Iterator

import pytest

from support.dataset import CONFIGURATIONS, contents, fill
from support.raw import Error, RawClient
from support.server import ROOT, Server, redis
from support.wait import wait_for

COPY = ROOT / "build" / "release" / "tests" / "rdb" / "quartet_rdb_copy"

def encodings(client: RawClient) -> dict:
    names = {}
    for database in (0, 1, 9):
        client.call("SELECT", database)
        names.update({(database, key): client.call("OBJECT", "ENCODING", key) for key in client.call("KEYS", "*")})
    return names


@contextlib.contextmanager
def redis_on(file: pathlib.Path) -> Iterator[RawClient]:
    """A client of a redis-server that has loaded the file, and looked into every collection of it."""
    with redis("--sanitize-dump-payload", "yes") as server:
        server.stop()
        shutil.copy(file, pathlib.Path(server.directory, "dump.rdb"))
        server.start()
        with RawClient(server.port, timeout=60) as client:
            wait_for(lambda: not isinstance(client.call("DBSIZE"), Error), "the file is loaded")
            yield client


def copy(source: pathlib.Path, target: pathlib.Path, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run([COPY, source, target, *options], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_file_of_redis_comes_back_unchanged(configuration, tmp_path):
    with redis(*CONFIGURATIONS[configuration]) as server, RawClient(server.port, timeout=60) as client:
        fill(client)
        before = contents(client)
        assert client.call("SAVE") == b"OK"
        shutil.copy(pathlib.Path(server.directory, "dump.rdb"), tmp_path / "theirs.rdb")
    copied = copy(tmp_path / "theirs.rdb", tmp_path / "ours.rdb", *(["--no-compression"] if configuration == "plain" else []))
    assert copied.returncode == 0, copied.stderr
    assert copied.stdout.startswith(f"{len(before)} loaded, 0 expired, 0 empty")
    check = subprocess.run(["redis-check-rdb", tmp_path / "ours.rdb"], capture_output=True, text=True, timeout=60)
    assert check.returncode == 0, check.stdout
    # The defaults: what redis-server makes of such a file of its own is what it has to make of ours.
    loaded = []
    for name in ("theirs.rdb", "ours.rdb"):
        with redis_on(tmp_path / name) as client:
            assert contents(client) == before
            loaded.append(encodings(client))
    # redis-server leaves a listpack packed whatever the lengths in it; the copy was made under the default thresholds.
    if configuration != "all packed":
        assert loaded[0] == loaded[1]
    if configuration == "defaults":
        assert (tmp_path / "ours.rdb").stat().st_size <= 1.01 * (tmp_path / "theirs.rdb").stat().st_size


def test_expired_entries_and_cut_files(tmp_path):
    with redis() as server, RawClient(server.port) as client:
        client.call("SET", "stays", "1", "PXAT", 4_000_000_000_000)
        client.call("SET", "goes", "1", "PXAT", 3_000_000_000_000)
        assert client.call("SAVE") == b"OK"
        file = pathlib.Path(server.directory, "dump.rdb").read_bytes()
    (tmp_path / "a.rdb").write_bytes(file)
    assert copy(tmp_path / "a.rdb", tmp_path / "b.rdb", "--expire-before", "3500000000000").stdout == "1 loaded, 1 expired, 0 empty\n"
    (tmp_path / "a.rdb").write_bytes(file[:-20])
    cut = copy(tmp_path / "a.rdb", tmp_path / "b.rdb")
    assert cut.returncode == 1
    assert f"at {len(file) - 20}: the file ends too early" in cut.stderr


def test_what_has_no_place_is_named(tmp_path):
    with redis() as server, RawClient(server.port) as client:
        directory = pathlib.Path(server.directory)
        client.call("XADD", "stream", "*", "field", "value")
        assert client.call("SAVE") == b"OK"
        shutil.copy(directory / "dump.rdb", tmp_path / "stream.rdb")
        client.call("FLUSHALL")
        assert not isinstance(client.call("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() end)"), Error)
        assert client.call("SAVE") == b"OK"
        shutil.copy(directory / "dump.rdb", tmp_path / "function.rdb")
    assert "a stream (type 19) cannot be read" in copy(tmp_path / "stream.rdb", tmp_path / "out.rdb").stderr
    assert "a library of functions" in copy(tmp_path / "function.rdb", tmp_path / "out.rdb").stderr


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_payloads_go_both_ways(configuration):
    options = ["--databases", "10"]
    with redis(*options, *CONFIGURATIONS[configuration]) as theirs, Server(*options) as ours, redis(*options, "--sanitize-dump-payload", "yes") as back:
        with RawClient(theirs.port, timeout=60) as source, RawClient(ours.port, timeout=60) as middle, RawClient(back.port, timeout=60) as target:
            fill(source)
            before = contents(source)
            for database, key in before:
                for a, b in ((source, middle), (middle, target)):
                    for client in (a, b):
                        client.call("SELECT", database)
                    expiry = a.call("PEXPIRETIME", key)
                    assert b.call("RESTORE", key, max(expiry, 0), a.call("DUMP", key), "ABSTTL") == b"OK", key
            assert contents(middle) == before
            assert contents(target) == before


# What redis-server no longer writes but still reads, made by hand.

def ziplist(*elements: bytes | int) -> bytes:
    body, last = b"", 0
    for element in elements:
        if isinstance(element, int):
            if 0 <= element <= 12:
                encoded = bytes([0xf1 + element])
            else:
                code, form = next((code, form) for code, form, bits in
                                  ((0xfe, 1, 8), (0xc0, 2, 16), (0xf0, 3, 24), (0xd0, 4, 32), (0xe0, 8, 64)) if -(1 << bits - 1) <= element < 1 << bits - 1)
                encoded = bytes([code]) + element.to_bytes(form, "little", signed=True)
        elif len(element) < 64:
            encoded = bytes([len(element)]) + element
        elif len(element) < 16384:
            encoded = struct.pack(">H", 0x4000 | len(element)) + element
        else:
            encoded = b"\x80" + struct.pack(">I", len(element)) + element
        before = bytes([last]) if last < 254 else b"\xfe" + struct.pack("<I", last)
        body += before + encoded
        last = len(before) + len(encoded)
    return struct.pack("<IIH", 10 + len(body) + 1, 10 + len(body) - last, len(elements)) + body + b"\xff"


def zipmap(*pairs: tuple[bytes, bytes, int]) -> bytes:
    def length(text: bytes) -> bytes:
        return bytes([len(text)]) if len(text) < 254 else b"\xfe" + struct.pack("<I", len(text))
    body = b"".join(length(field) + field + length(value) + bytes([unused]) + value + b"\0" * unused for field, value, unused in pairs)
    return bytes([len(pairs)]) + body + b"\xff"


def string(text: bytes) -> bytes:
    if len(text) < 64:
        return bytes([len(text)]) + text
    if len(text) < 16384:
        return struct.pack(">H", 0x4000 | len(text)) + text
    return b"\x80" + struct.pack(">I", len(text)) + text


def entry(kind: int, key: bytes, value: bytes, expiry: bytes = b"") -> bytes:
    return expiry + bytes([kind]) + string(key) + value


def legacy_file(version: int) -> bytes:
    integers = (0, 12, 13, -1, 127, -128, 128, 32767, -32768, 8388607, -8388608, 2**31 - 1, -2**31, 2**63 - 1, -2**63)
    texts = (b"", b"text", b"t" * 63, b"u" * 64, b"v" * 300, b"w" * 20000, b"behind")
    members = [b"a", 1, b"b", b"1.5", 77, b"2.25", b"c", 3]
    records = [
        entry(0, b"string", string(b"value")),
        entry(0, b"seconds", string(b"value"), b"\xfd" + struct.pack("<i", 2_000_000_000)),
        entry(1, b"list", b"\x02" + string(b"one") + b"\xc0\xfe"),
        entry(3, b"text-scores", b"\x04" + string(b"a") + b"\x031.5" + string(b"b") + b"\xfe" + string(b"c") + b"\xff" + string(b"d") + b"\x02-3"),
        entry(9, b"zipmap", string(zipmap((b"field", b"value", 0), (b"", b"", 3), (b"f" * 300, b"12", 1)))),
        entry(10, b"list-ziplist", string(ziplist(*integers, *texts, *integers))),
        entry(11, b"intset", string(struct.pack("<IIhhh", 2, 3, -7, 0, 300))),
        entry(12, b"zset-ziplist", string(ziplist(*members))),
        entry(13, b"hash-ziplist", string(ziplist(b"f", b"v", b"n", -70000, 5, b"five"))),
        entry(14, b"quicklist", b"\x02" + string(ziplist(*texts)) + string(ziplist(*integers))),
    ]
    body = b"REDIS%04d\xfe\x00" % version + b"".join(records) + b"\xff"
    return body + (b"\0" * 8 if version >= 5 else b"")


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
def test_encodings_that_are_no_longer_written(version, tmp_path):
    (tmp_path / "legacy.rdb").write_bytes(legacy_file(version))
    copied = copy(tmp_path / "legacy.rdb", tmp_path / "ours.rdb")
    assert copied.returncode == 0, copied.stderr
    loaded = []
    for name in ("legacy.rdb", "ours.rdb"):
        with redis_on(tmp_path / name) as client:
            loaded.append(contents(client))
    assert loaded[0] == loaded[1]
    assert len(loaded[0]) == 10
    assert loaded[0][0, b"hash-ziplist"][2] == {b"f": b"v", b"n": b"-70000", b"5": b"five"}


def test_a_large_list_element_of_redis_is_read(tmp_path):
    with redis("--enable-debug-command", "yes") as server, RawClient(server.port) as client:
        client.call("DEBUG", "QUICKLIST-PACKED-THRESHOLD", "100b")
        elements = [b"small", b"x" * 200, b"1234567", b"y" * 5000, b"end"]
        client.call("RPUSH", "list", *elements)
        assert client.call("SAVE") == b"OK"
        shutil.copy(pathlib.Path(server.directory, "dump.rdb"), tmp_path / "plain.rdb")
    assert copy(tmp_path / "plain.rdb", tmp_path / "ours.rdb").returncode == 0
    with redis_on(tmp_path / "ours.rdb") as client:
        assert client.call("LRANGE", "list", 0, -1) == elements
