"""Users that outlive the server: `aclfile`, ACL LOAD and SAVE."""

from __future__ import annotations

import hashlib
import pathlib

import pytest

from support.raw import Error, RawClient
from support.server import Server

DEFAULT = "user default on nopass ~* &* +@all"
BOB = "user bob on nopass ~b* &chat +@read -get (~c +set)"


@pytest.fixture
def make(tmp_path):
    """Makes servers with a file of users, which are ended after the test. They are not started."""
    servers = []

    def of(text: str) -> Server:
        path = tmp_path / "users.acl"
        path.write_text(text)
        servers.append(Server("--aclfile", str(path)))
        return servers[-1]

    yield of
    for server in servers:
        if server.process and server.process.poll() is None:
            server.stop()
        server.remove()


def acl_file(server: Server) -> pathlib.Path:
    return pathlib.Path(server.options[1])


def listed(client: RawClient) -> list[str]:
    return [line.decode() for line in client.call("ACL", "LIST")]


def test_users_are_loaded_at_the_start_and_saved(make):
    server = make(f"{DEFAULT}\n\n  {BOB}  \n")
    server.start()
    with RawClient(server.port) as client:
        assert listed(client) == ["user bob on nopass ~b* resetchannels &chat -@all +@read -get (~c resetchannels -@all +set)", DEFAULT]
        assert client.call("ACL", "SETUSER", "alice", "on", ">secret", "~a", "+get") == b"OK"
        assert client.call("ACL", "DELUSER", "bob") == 1
        assert client.call("ACL", "SAVE") == b"OK"
        before = listed(client)
    server.stop()
    digest = hashlib.sha256(b"secret").hexdigest()
    text = acl_file(server).read_text()
    assert f"#{digest}" in text and "secret" not in text
    assert sorted(text.splitlines()) == before
    server.start()
    with RawClient(server.port) as client:
        assert listed(client) == before
        assert client.call("AUTH", "alice", "secret") == b"OK"
        assert client.call("GET", "a") is None


def test_load_replaces_all_users(make):
    server = make(f"{DEFAULT}\n{BOB}\n")
    server.start()
    with RawClient(server.port) as client, RawClient(server.port) as bob, RawClient(server.port) as eve:
        assert client.call("ACL", "SETUSER", "eve", "on", "nopass", "+@all", "~*") == b"OK"
        assert eve.call("AUTH", "eve", "x") == b"OK"
        assert bob.call("AUTH", "bob", "x") == b"OK"
        acl_file(server).write_text(f"{DEFAULT}\n{BOB} +ping\n")
        assert client.call("ACL", "LOAD") == b"OK"
        assert [user.decode() for user in client.call("ACL", "USERS")] == ["bob", "default"]
        # The connections of a user who is no more are closed.
        assert eve.closed()


MISTAKES = {
    "user alice on nonsense": "{file}:2: Syntax error. ",
    "user alice on +nosuch": "{file}:2: Error in applying operation '+nosuch': Unknown command or category name in ACL. ",
    "usr alice on": "{file}:2 should start with user keyword followed by the username. ",
    "user": "{file}:2 should start with user keyword followed by the username. ",
    "# comment": "{file}:2 should start with user keyword followed by the username. ",
    "user alice (+get": "{file}:2: Unmatched parenthesis in selector definition.",
    "user alice #12": "{file}:2: The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters. ",
    f"{BOB}\n{BOB}": "WARNING: Duplicate user 'bob' found on line 3. ",
    "user bob on\nuser alice on +@nosuch ~x nonsense":
        "{file}:3: Error in applying operation '+@nosuch': Unknown command or category name in ACL. {file}:3: Syntax error. ",
}
UNCHANGED = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"


@pytest.mark.parametrize("line", MISTAKES)
def test_a_file_with_a_mistake_changes_nothing(make, line):
    server = make(f"{DEFAULT}\n")
    server.start()
    with RawClient(server.port) as client:
        assert client.call("ACL", "SETUSER", "eve", "on", "nopass", "+@all") == b"OK"
        before = listed(client)
        acl_file(server).write_text(f"{DEFAULT}\n{line}\n")
        assert client.call("ACL", "LOAD") == Error("ERR " + MISTAKES[line].format(file=acl_file(server)) + UNCHANGED)
        assert listed(client) == before


def test_a_file_with_a_mistake_ends_the_start(make):
    server = make(f"{DEFAULT}\nuser alice on nonsense\n")
    server.start_and_fail()
    assert f"{acl_file(server)}:2: Syntax error" in server.read_log()


def test_a_file_without_the_default_user_leaves_it_as_it_is(make):
    server = make(f"{BOB}\n")
    server.start()
    with RawClient(server.port) as client:
        assert client.call("ACL", "WHOAMI") == b"default"
        assert listed(client)[-1] == DEFAULT


def test_save_replaces_the_file_as_a_whole(make):
    """Nothing is left beside it, and its place can be a folder that is not the server's."""
    server = make(f"{DEFAULT}\n")
    server.start()
    with RawClient(server.port) as client:
        for i in range(100):
            assert client.call("ACL", "SETUSER", f"user{i}", "on", f">{i}", "~*", "+@all", "-@dangerous") == b"OK"
        assert client.call("ACL", "SAVE") == b"OK"
        assert client.call("ACL", "LOAD") == b"OK"
        assert len(client.call("ACL", "USERS")) == 101
    assert [path.name for path in acl_file(server).parent.iterdir()] == ["users.acl"]
    assert len(acl_file(server).read_text().splitlines()) == 101
