"""A script that does not end keeps everybody waiting, but can be ended from outside."""

from __future__ import annotations

import signal

import pytest

from support.raw import Error, RawClient
from support.server import Server
from support.wait import wait_for

BUSY = Error("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")


@pytest.fixture
def own_server():
    with Server("--busy-reply-threshold", "20") as server:
        yield server


def run_away(server: Server, script: str) -> RawClient:
    """A client whose script runs long enough for others to be told so."""
    runner = RawClient(server.port)
    runner.send("EVAL", script, "0")
    with RawClient(server.port) as client:
        wait_for(lambda: client.call("PING") == BUSY, "the script is busy")
    return runner


def test_a_script_that_only_reads_is_killed(own_server):
    with RawClient(own_server.port) as early:
        assert early.call("SET", "key", "value") == b"OK"
        runner = run_away(own_server, "while true do redis.call('get', 'key') end")
        assert early.call("GET", "key") == BUSY
        # Connections are accepted and answered while it runs.
        with RawClient(own_server.port) as late:
            assert late.call("GET", "key") == BUSY
            assert late.call("SCRIPT", "KILL") == b"OK"
        reply = runner.read()
        assert isinstance(reply, Error) and "Script killed by user with SCRIPT KILL" in reply
        assert early.call("GET", "key") == b"value"
        assert early.call("SCRIPT", "KILL") == "NOTBUSY No scripts in execution right now."
        assert runner.call("PING") == b"PONG"
        runner.close()


def test_a_script_that_has_written_ends_only_with_the_server(own_server):
    runner = run_away(own_server, "redis.call('set', 'key', 'half') while true do end")
    with RawClient(own_server.port) as client:
        assert str(client.call("SCRIPT", "KILL")).startswith("UNKILLABLE ")
        assert client.call("SHUTDOWN") == BUSY
        client.send("SHUTDOWN", "NOSAVE")
        assert own_server.process.wait(30) == 0
        assert client.closed() and not client.buffer
    runner.close()


def test_a_client_that_goes_away_during_a_script_is_forgotten_after_it(own_server):
    gone = RawClient(own_server.port)
    runner = run_away(own_server, "while true do end")
    gone.send("PING")
    gone.close()
    with RawClient(own_server.port) as client:
        assert client.call("SCRIPT", "KILL") == b"OK"
        assert isinstance(runner.read(), Error)
        wait_for(lambda: len(client.call("CLIENT", "LIST").splitlines()) == 2, "two clients are left")
    runner.close()


def terminate(server, number):
    """Sends a signal to the process, which says in its log that it has heard it."""
    server.process.send_signal(number)
    wait_for(lambda: number.name in server.read_log(), "the signal is heard")


def test_sigterm_waits_for_the_script_that_can_still_be_killed(own_server):
    runner = run_away(own_server, "while true do end")
    terminate(own_server, signal.SIGTERM)
    with RawClient(own_server.port) as client:
        assert client.call("PING") == BUSY
        assert client.call("SCRIPT", "KILL") == b"OK"
    assert own_server.process.wait(30) == 0
    assert runner.closed()
    runner.close()


def test_sigterm_spares_a_script_that_has_written(own_server):
    runner = run_away(own_server, "redis.call('set', 'key', 'half') while true do end")
    terminate(own_server, signal.SIGTERM)
    with RawClient(own_server.port) as client:
        assert str(client.call("SCRIPT", "KILL")).startswith("UNKILLABLE ")
        client.send("SHUTDOWN", "NOSAVE")
        assert own_server.process.wait(30) == 0
    runner.close()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_sigint_behind_another_signal_ends_the_process_within_a_script(own_server, first):
    runner = run_away(own_server, "while true do end")
    terminate(own_server, first)
    own_server.process.send_signal(signal.SIGINT)
    assert own_server.process.wait(30) == 1
    assert runner.closed() and not runner.buffer
    runner.close()
