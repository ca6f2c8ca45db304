"""Files of data from outside: what a client sees while they are loaded, and what --check says of them."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest

from support.raw import Error, RawClient, encode, info
from support.server import Server, redis, server_binary
from support.wait import wait_for

KEYS = 1_000_000


def check(*arguments: str | pathlib.Path) -> subprocess.CompletedProcess:
    return subprocess.run([server_binary(), "--check", *arguments], capture_output=True, text=True, timeout=60)


def test_clients_are_told_that_the_data_are_being_loaded():
    requests = (("GET", "key:1"), ("INFO", "persistence"), ("SET", "key:1", "value:1"), ("EVAL", "return 1", "0"), ("MULTI",), ("EXEC",))
    with Server("--enable-debug-command", "yes", "--save", "3600 1") as server:
        with RawClient(server.port, timeout=60) as client:
            assert client.call("DEBUG", "POPULATE", KEYS) == b"OK"
            assert client.call("SAVE") == b"OK"

        def sees_it() -> bool:
            """Where this process was so slow that the load was over, there is nothing to be seen, and it starts again."""
            server.stop()
            server.start()
            with RawClient(server.port, timeout=60) as client:
                client.send_raw(b"".join(encode(*request) for request in requests))
                get, report, put, script, *_ = [client.read() for _ in requests]
                fields = dict(line.split(":", 1) for line in report.decode().splitlines() if ":" in line)
                seen = fields["loading"] == "1" and isinstance(get, Error) and isinstance(script, Error)
                if seen:
                    assert get == "LOADING Redis is loading the dataset in memory"
                    assert put == get and script == get
                    assert int(fields["loading_start_time"]) > 1_700_000_000
                    assert 0 <= int(fields["loading_loaded_bytes"]) < int(fields["loading_total_bytes"])
                    assert int(fields["loading_total_bytes"]) == pathlib.Path(server.directory, "dump.rdb").stat().st_size
                    assert 0 <= float(fields["loading_loaded_perc"]) < 100
                    assert int(fields["loading_eta_seconds"]) >= 0
                wait_for(lambda: client.call("PING") == b"PONG", "the data are loaded", interval=0.01)
                assert client.call("GET", "key:1") == b"value:1"
                assert client.call("DBSIZE") == KEYS
                assert info(client, "loading") == "0"
                assert info(client, "rdb_last_load_keys_loaded") == str(KEYS)
                return seen

        wait_for(sees_it, "a client that is told LOADING", timeout=120)


@pytest.mark.parametrize("make", [Server, redis])
def test_save_is_no_bgsave(make):
    with make() as server, RawClient(server.port) as client:
        assert client.call("SAVE") == b"OK"
        assert info(client, "rdb_last_bgsave_time_sec") == "-1"
        assert client.call("BGSAVE") == b"Background saving started"
        wait_for(lambda: info(client, "rdb_bgsave_in_progress") == "0", "it is saved")
        assert int(info(client, "rdb_last_bgsave_time_sec")) >= 0


def test_check_says_what_is_there_and_fixes_what_can_be_fixed():
    with Server("--appendonly", "yes", "--save", "3600 1", "--appendfsync", "always") as server:
        directory = pathlib.Path(server.directory)
        with RawClient(server.port) as client:
            for number in range(100):
                assert client.call("SET", f"key:{number}", number) == b"OK"
            assert client.call("MULTI") == b"OK"
            client.call("SELECT", 1)
            client.call("RPUSH", "list", "a")
            client.call("SADD", "set", "a")
            assert len(client.call("EXEC")) == 3
            assert client.call("SAVE") == b"OK"
            busy = check(directory)
            assert busy.returncode == 0, busy.stdout
            # Who has the directory is not disturbed.
            assert "lock" in check("--fix", directory).stdout or check("--fix", directory).returncode == 0
        server.stop()
        whole = check(directory)
        assert whole.returncode == 0, whole.stdout
        assert "database 0: 100 keys, 100 strings" in whole.stdout
        assert "database 1: 2 keys, 1 lists, 1 sets" in whole.stdout
        assert "102 commands, 1 units of MULTI and EXEC" in whole.stdout

        increment = sorted(directory.glob("appendonlydir/*.incr.aof"))[-1]
        intact = increment.read_bytes()
        at = intact.index(b"key:50\r\n")
        increment.write_bytes(intact[:at] + b"K" + intact[at + 1:])
        server.start_and_fail()
        assert f"{increment.name} is damaged at offset" in server.read_log()
        assert "--check --fix" in server.read_log()
        broken = check(directory)
        assert broken.returncode == 1
        assert "damaged at offset" in broken.stdout
        fixed = check("--fix", directory)
        assert fixed.returncode == 0, fixed.stdout
        assert check(directory).returncode == 0
        original = increment.with_name(increment.name + ".original")
        assert original.read_bytes() == intact[:at] + b"K" + intact[at + 1:]
        assert intact.startswith(increment.read_bytes())
        server.start()
        with RawClient(server.port) as client:
            wait_for(lambda: not isinstance(client.call("DBSIZE"), Error), "the data are loaded")
            assert client.call("DBSIZE") == 50
            assert client.call("SET", "after", "1") == b"OK"
        server.stop()

        dump = directory / "dump.rdb"
        dump.write_bytes(dump.read_bytes()[:-20])
        assert check(dump).returncode == 1
        assert check("--fix", dump).returncode == 1
    assert check(directory).returncode == 2
    assert check().returncode == 2
    assert check("a", "b").returncode == 2


def test_a_command_that_the_server_does_not_have_can_be_cut_off():
    with Server("--appendonly", "yes") as server:
        with RawClient(server.port) as client:
            # Stopped at once it would have no manifest yet, and need none.
            wait_for(lambda: info(client, "aof_rewrites") == "1", "the first base is there")
        server.stop()
        increment = next(pathlib.Path(server.directory).glob("appendonlydir/*.incr.aof"))
        increment.write_bytes(increment.read_bytes() + encode("SELECT", 0) + encode("XADD", "s", "1-1", "f", "v"))
        reason = "'XADD' is a command that this server does not have"
        broken = check(server.directory)
        assert broken.returncode == 1 and reason in broken.stdout
        server.start_and_fail()
        assert "cannot be executed at offset" in server.read_log()
        assert reason in server.read_log() and "--check --fix" in server.read_log()
        assert check("--fix", server.directory).returncode == 0
        server.start()


def test_databases_are_swapped_by_name_and_logged_by_number():
    names = "".join(f'[[database]]\nindex = {index}\nname = "{name}"\n' for index, name in enumerate(("broker", "cache")))
    with Server("--appendonly", "yes", settings=names) as ours, redis("--appendonly", "yes") as theirs:
        with RawClient(ours.port) as client:
            client.call("SET", "k", "v")
            assert client.call("SWAPDB", "broker", "cache") == b"OK"
            assert client.call("SWAPDB", "broker", "nowhere") == "ERR invalid second DB index"
            assert client.call("SWAPDB", "99", "nowhere") == "ERR invalid second DB index"
            assert client.call("SWAPDB", "broker", "99") == "ERR DB index is out of range"
        ours.stop()
        theirs.stop()
        shutil.rmtree(pathlib.Path(theirs.directory, "appendonlydir"))
        shutil.copytree(pathlib.Path(ours.directory, "appendonlydir"), pathlib.Path(theirs.directory, "appendonlydir"))
        for server in (ours, theirs):
            server.start()
            with RawClient(server.port) as client:
                wait_for(lambda: not isinstance(client.call("DBSIZE"), Error), "the data are loaded")
                assert client.call("GET", "k") is None
                assert client.call("SELECT", 1) == b"OK"
                assert client.call("GET", "k") == b"v"
