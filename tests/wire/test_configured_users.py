"""Users that the configuration names: in a file and on the command line, `default` among them."""

from __future__ import annotations

import os
import signal
import time

import pytest

from support.raw import Error, RawClient
from support.server import Server

ADMIN = "adm on >a +@all ~* &*"
NOAUTH = Error("NOAUTH Authentication required.")


def in_file(*users: str, more: str = "") -> Server:
    lines = ", ".join(f'"{user}"' for user in (ADMIN, *users))
    return Server(settings=f"user = [{lines}]\n{more}")


def on_the_command_line(*users: str) -> Server:
    return Server(*(word for user in (ADMIN, *users) for word in ("--user", *user.split())))


def in_an_acl_file(tmp_path, *users: str) -> Server:
    path = tmp_path / "users.acl"
    path.write_text("".join(f"user {user}\n" for user in (ADMIN, *users)))
    return Server("--aclfile", str(path))


def described(server: Server, name: str) -> str:
    with RawClient(server.port) as client:
        assert client.call("AUTH", "adm", "a") == b"OK"
        (line,) = [line for line in client.call("ACL", "LIST") if line.startswith(b"user %b " % name.encode())]
        return line.decode()


def first_reply(server: Server, *request: str):
    with RawClient(server.port) as client:
        return client.call(*request)


# What redis-server 7.0 makes of the same lines.
DEFAULTS = {
    "default on nopass ~* +get": "on nopass{flag} ~* resetchannels -@all +get",
    "default on >secret +get": "on{flag} #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b resetchannels -@all +get",
    "default on ~* +get": "on{flag} ~* resetchannels -@all +get",
    "default off": "off{flag} resetchannels -@all",
    "default": "off{flag} resetchannels -@all",
}


@pytest.mark.parametrize("way", ["file", "command line", "ACL file"])
@pytest.mark.parametrize("user", DEFAULTS)
def test_default_begins_with_nothing(tmp_path, user, way):
    made = {"file": in_file, "command line": on_the_command_line, "ACL file": lambda user: in_an_acl_file(tmp_path, user)}[way](user)
    with made as server:
        flag = "" if way == "ACL file" else " sanitize-payload"
        assert described(server, "default") == "user default " + DEFAULTS[user].format(flag=flag)
        refused = first_reply(server, "SET", "k", "v")
        assert refused == (Error("NOPERM this user has no permissions to run the 'set' command") if "nopass" in user else NOAUTH)


def test_requirepass_says_nothing_beside_a_line_for_default():
    with in_file("default on ~* +get", more='requirepass = "secret"\n') as server, RawClient(server.port) as client:
        assert client.call("AUTH", "secret").startswith("WRONGPASS")
    with in_file("default on nopass ~* +get", more='requirepass = "secret"\n') as server, RawClient(server.port) as client:
        assert client.call("GET", "k") is None


def test_users_that_are_set_at_run_time_are_changed_step_by_step():
    with in_file() as server, RawClient(server.port) as client:
        assert client.call("ACL", "SETUSER", "default", "-get") == b"OK"
        assert described(server, "default") == "user default on nopass ~* &* +@all -get"


def test_a_rewritten_file_makes_the_same_users():
    server = in_file("default on nopass ~* &* +@all -keys")
    try:
        server.start()
        with RawClient(server.port) as client:
            before = client.call("ACL", "LIST")
            assert client.call("CONFIG", "REWRITE") == b"OK"
        server.stop()
        server.start()
        assert first_reply(server, "ACL", "LIST") == before
        assert first_reply(server, "KEYS", "*").startswith("NOPERM")
    finally:
        server.stop()
        server.remove()


def test_users_of_the_command_line_are_added_to_those_of_the_file():
    server = Server("--user", "bob", "on", "nopass", "+ping", "--user", "eve on nopass +echo", settings=f'user = ["{ADMIN}", "default off"]\n')
    with server:
        assert described(server, "bob") == "user bob on nopass resetchannels -@all +ping"
        assert described(server, "eve") == "user eve on nopass resetchannels -@all +echo"
        assert first_reply(server, "PING") == NOAUTH


@pytest.mark.parametrize("server", [
    lambda: Server("--user", "foo", "--user", "foo"),
    lambda: Server("--user", "foo", "on", "--user", "foo", "off"),
    lambda: Server("--user", "foo", "on", settings='user = ["foo off"]\n'),
    lambda: Server(settings='user = ["foo on", "foo off"]\n'),
    lambda: Server("--user", "default", "off", "--user", "default", "on"),
], ids=["the same twice", "two of the command line", "file and command line", "two of the file", "default"])
def test_a_user_is_defined_once(server):
    made = server()
    made.start_and_fail()
    assert "Duplicate user found. A user can only be defined once in config files" in made.read_log()
    made.remove()


def test_user_takes_a_name():
    server = Server("--user")
    server.start_and_fail()
    assert "command line: --user: wrong number of arguments" in server.read_log()
    server.remove()


@pytest.mark.parametrize("number", [signal.SIGALRM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ])
def test_signals_that_end_nothing(number):
    with Server() as server:
        os.kill(server.process.pid, number)
        # A signal that ends the process has done so before it answers; what is slow then only makes the test weaker.
        for _ in range(3):
            assert first_reply(server, "PING") == b"PONG"
            time.sleep(0.02)
        assert server.process.poll() is None
