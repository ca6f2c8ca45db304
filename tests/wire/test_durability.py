"""What is on disk when the process has ended, in whatever way, and what the log says of it."""

from __future__ import annotations

import os
import pathlib
import resource
import signal
import time

import pytest

from support.raw import Error, RawClient, encode, info
from support.server import ROOT, Server, redis
from support.wait import wait_for

# What files may hold, the log too, and more than that, which does not become less by compression.
ROOM = 20_000
LARGE = os.urandom(10 * ROOM)
LOGGED = ("--appendonly", "yes", "--appendfsync", "always")


def restart(server: Server, ending: int = signal.SIGKILL) -> None:
    server.process.send_signal(ending)
    server.process.wait(20)
    server.start()


def loaded(client: RawClient) -> RawClient:
    wait_for(lambda: not isinstance(client.call("DBSIZE"), Error), "the data are loaded")
    return client


def limit_files(server: Server, size: int) -> None:
    """From now on the process cannot have a file grow beyond so many bytes."""
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_transaction_that_has_the_log_rewritten_is_in_the_files():
    with Server(*LOGGED) as server:
        with RawClient(server.port) as client:
            wait_for(lambda: info(client, "aof_rewrite_in_progress") == "0", "the first base is there")
            requests = (("MULTI",), ("SET", "a", 1), ("BGREWRITEAOF",), ("SET", "b", 2), ("SELECT", 1), ("SET", "c", 3), ("EXEC",))
            assert [client.call(*each) for each in requests][-1] == [
                b"OK", b"Background append only file rewriting scheduled", b"OK", b"OK", b"OK"]
            assert client.call("SET", "after", 1) == b"OK"
        restart(server)
        with RawClient(server.port) as client:
            assert loaded(client).call("MGET", "a", "b") == [b"1", b"2"]
            client.call("SELECT", 1)
            assert client.call("MGET", "c", "after") == [b"3", b"1"]


def test_a_script_that_shutdown_ends_leaves_nothing_in_the_files():
    with Server("--appendonly", "yes", "--busy-reply-threshold", "50") as server:
        with RawClient(server.port) as client, RawClient(server.port) as killer:
            assert client.call("SET", "before", 1) == b"OK"
            client.send("EVAL", "redis.call('SET', 'a', 1) redis.call('SET', 'b', 1) while true do end", 0)
            wait_for(lambda: isinstance(killer.call("GET", "a"), Error), "the script is slow")
            killer.send("SHUTDOWN", "NOSAVE")
            assert server.process.wait(20) == 0
        server.start()
        with RawClient(server.port) as client:
            assert loaded(client).call("KEYS", "*") == [b"before"]


@pytest.mark.parametrize("make", [Server, redis])
def test_flushall_with_save_rules_saves(make):
    with make("--save", "3600 1") as server:
        with RawClient(server.port) as client:
            assert client.call("SET", "key", 1) == b"OK"
            assert client.call("SAVE") == b"OK"
            assert client.call("FLUSHALL") == b"OK"
        restart(server)
        with RawClient(server.port) as client:
            assert loaded(client).call("DBSIZE") == 0


@pytest.mark.parametrize("options", [LOGGED, ("--appendonly", "yes"), ("--save", "3600 1")])
def test_sigterm_ends_the_server_though_the_disk_is_full(options):
    with Server(*options, "--shutdown-timeout", "2") as server:
        with RawClient(server.port) as client:
            assert client.call("SET", "key", "x" * 1000) == b"OK"
            limit_files(server, ROOM)
            client.send("SET", "key", LARGE)
            time.sleep(0.2)
            begin = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(20) == 1
            assert time.monotonic() - begin < 10
        log = server.read_log()
        assert "appendonlydir" in log.split("SIGTERM")[1] or "dump.rdb" in log.split("SIGTERM")[1]
        assert "missing in" in log.split("SIGTERM")[1], log


def test_sigterm_waits_for_a_disk_that_has_room_again():
    with Server(*LOGGED, "--shutdown-timeout", "20") as server:
        with RawClient(server.port) as client:
            assert client.call("SET", "key", "x") == b"OK"
            limit_files(server, ROOM)
            client.send("SET", "key", LARGE)
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "SIGTERM" in server.read_log(), "it is told")
            limit_files(server, resource.RLIM_INFINITY)
            assert server.process.wait(20) == 0
        server.start()
        with RawClient(server.port) as client:
            assert loaded(client).call("GET", "key") == LARGE


def test_shutdown_is_refused_while_the_disk_is_full_and_the_server_goes_on():
    with Server("--appendonly", "yes") as server, RawClient(server.port) as client:
        limit_files(server, ROOM)
        assert client.call("SET", "key", LARGE) == b"OK"
        wait_for(lambda: info(client, "aof_last_write_status") == "err", "it fails")
        assert client.call("SHUTDOWN") == Error("ERR Errors trying to SHUTDOWN. Check logs.")
        assert client.call("GET", "key") == LARGE
        limit_files(server, resource.RLIM_INFINITY)
        wait_for(lambda: info(client, "aof_last_write_status") == "ok", "it recovers")
        client.send("SHUTDOWN")
        assert server.process.wait(20) == 0
        server.start()
        with RawClient(server.port) as other:
            assert loaded(other).call("GET", "key") == LARGE


def test_the_shipped_settings_keep_what_they_say():
    settings = (ROOT / "conf" / "quartet.toml").read_text().replace("memcached-port = 11211", "memcached-port = 0")
    with Server(settings=settings) as server:
        # What the harness says of all databases is not what they say themselves.
        with RawClient(server.port) as client:
            for database in range(5):
                client.call("SELECT", database)
                assert client.call("SET", "key", database) == b"OK"
            wait_for(lambda: info(client, "aof_pending_bio_fsync") == "0" and info(client, "aof_rewrite_in_progress") == "0", "it is on disk")
            time.sleep(1.5)
        restart(server)
        with RawClient(server.port) as client:
            loaded(client)
            kept = []
            for database in range(5):
                client.call("SELECT", database)
                kept.append(client.call("GET", "key"))
            assert kept == [b"0", None, b"2", b"3", None]
        log = server.read_log()
        assert "Database 0 (broker): append-only file, appendfsync everysec" in log
        assert "Database 1 (cache): no append-only file, no snapshots" in log
        assert "Databases 4 to 15: no append-only file, no snapshots" in log
        assert f"data directory: {pathlib.Path(server.directory).resolve()}" in log
        assert "settings.toml" in log


def test_the_log_warns_of_what_does_not_fit():
    with Server("--save", "3600 1") as server:
        with RawClient(server.port) as client:
            client.call("SET", "key", 1)
            client.call("SAVE")
        server.stop()
        directory = pathlib.Path(server.directory)
        (directory / "appendonly.aof").write_bytes(encode("SELECT", "0"))
        (directory / "old.rdb").write_bytes(b"")
        server.options = ("--maxmemory", "100mb", "--db.0.maxmemory", "60mb", "--db.1.maxmemory", "60mb", "--bind", "0.0.0.0")
        server.start()
        log = server.read_log()
        for warning in ("dump.rdb is loaded, and nothing is ever saved", "appendonly.aof is not loaded, because appendonly is no",
                        "old.rdb is not loaded, because dbfilename is dump.rdb", "more than maxmemory", "No password is set"):
            assert warning in log, log
