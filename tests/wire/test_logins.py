"""Who guesses passwords is slowed down, and nobody else is."""

from __future__ import annotations

import pytest

from support.raw import Error, RawClient, encode
from support.server import Server
from support.wait import wait_for

WRONG = Error("WRONGPASS invalid username-password pair or user is disabled.")
# So many that the last ones have to wait for seconds, all the more on a slow machine.
ATTEMPTS = 17


@pytest.fixture
def own_server():
    with Server() as server:
        with RawClient(server.port) as admin:
            assert admin.call("ACL", "SETUSER", "alice", "on", ">right", "+@all", "~*") == b"OK"
        yield server


@pytest.mark.parametrize("login", [
    ("AUTH", "alice", "wrong"), ("AUTH", "nobody", "wrong"), ("HELLO", "2", "AUTH", "alice", "wrong"),
], ids=["AUTH", "no such user", "HELLO"])
def test_guesses_wait_and_others_do_not(own_server, login):
    """Beside the guesses another client is answered, while the guesser has not got all his answers."""
    with RawClient(own_server.port) as guesser, RawClient(own_server.port) as other:
        assert other.call("PING") == b"PONG"
        guesser.send_raw(encode(*login) * ATTEMPTS + encode("ECHO", "end"))
        assert guesser.read() == WRONG  # the server has begun with them
        for _ in range(100):
            assert other.call("PING") == b"PONG"
        guesser.socket.setblocking(False)
        try:
            guesser.buffer += guesser.socket.recv(1 << 16)
        except BlockingIOError:
            pass
        assert guesser.buffer.count(b"WRONGPASS") < ATTEMPTS - 1 and b"end" not in guesser.buffer
        # Each is answered at last, in order.
        guesser.socket.settimeout(60)
        for _ in range(ATTEMPTS - 1):
            assert guesser.read() == WRONG
        assert guesser.call("ECHO", "more") == b"end"
        assert guesser.read() == b"more"


def test_a_right_password_is_no_guess(own_server):
    with RawClient(own_server.port) as client:
        client.send_raw(encode("AUTH", "alice", "right") * 200)
        for _ in range(200):
            assert client.read() == b"OK"


def test_a_guesser_who_goes_away_is_forgotten(own_server):
    with RawClient(own_server.port) as other:
        with RawClient(own_server.port) as guesser:
            guesser.send_raw(encode("AUTH", "alice", "wrong") * ATTEMPTS)
            assert guesser.read() == WRONG
        wait_for(lambda: other.call("CLIENT", "LIST").count(b"\n") == 1, "the guesser is gone")
        assert other.call("PING") == b"PONG"


def test_failed_logins_are_told_without_the_password(own_server):
    with RawClient(own_server.port) as client:
        assert client.call("AUTH", "alice", "MyOtherPassw0rd") == WRONG
        assert client.call("AUTH", "alice", "MyOtherPassw0rd") == WRONG
        (entry,) = client.call("ACL", "LOG")
        told = dict(zip(entry[::2], entry[1::2]))
        assert (told[b"reason"], told[b"count"], told[b"username"], told[b"object"]) == (b"auth", 2, b"alice", b"AUTH")
    log = own_server.read_log()
    assert "127.0.0.1" in log and "MyOtherPassw0rd" not in log
