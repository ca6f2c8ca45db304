"""Users that redis-server 7.0 has described mean the same here, also where they name commands that this server lacks."""

from __future__ import annotations

import random
import re

import pytest

from support.raw import Error, RawClient
from support.server import Server

OURS = re.compile(rb"db(\|.*)?|client\|(no-touch|setinfo)")


@pytest.fixture(scope="module")
def server():
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    path = tmp_path_factory.mktemp("redis") / "users.acl"
    path.write_text("user default on nopass ~* &* +@all\n")
    with Server("--aclfile", str(path), binary="redis-server") as running:
        yield running


def test_categories_hold_the_same_commands(server, redis_server):
    """As far as the commands are there."""
    with RawClient(server.port) as ours, RawClient(redis_server.port) as theirs:
        there = set(ours.call("COMMAND", "LIST"))
        for category in theirs.call("ACL", "CAT"):
            names = {name for name in ours.call("ACL", "CAT", category) if not OURS.fullmatch(name)}
            assert names == there & set(theirs.call("ACL", "CAT", category)), category


def rules(choose: random.Random, names: list[bytes], categories: list[bytes]) -> list[bytes]:
    picked = [b"+@all"] if choose.random() < 0.4 else []
    for _ in range(choose.randrange(12)):
        sign = choose.choice([b"+", b"-"])
        picked.append(sign + (b"@" + choose.choice(categories) if choose.random() < 0.3 else choose.choice(names)))
    return picked


def test_an_acl_file_that_redis_server_wrote(redis_server, tmp_path):
    choose = random.Random(7)
    with RawClient(redis_server.port) as theirs:
        names, categories = theirs.call("COMMAND", "LIST"), theirs.call("ACL", "CAT")
        users = [f"user{i}" for i in range(60)]
        for user in users:
            assert theirs.call("ACL", "SETUSER", user, "on", "nopass", "~*", *rules(choose, names, categories)) == b"OK"
        # Each name once, because the rest is by chance.
        for name in names:
            assert theirs.call("ACL", "SETUSER", "each", b"+" + name) == b"OK"
        assert theirs.call("ACL", "SAVE") == b"OK"
        with Server("--aclfile", redis_server.options[1]) as server, RawClient(server.port) as ours:
            assert ours.call("ACL", "USERS") == theirs.call("ACL", "USERS")
            for user in users:
                for name in choose.sample(names, 40):
                    request = name.split(b"|")
                    permitted = [denied(client.call("ACL", "DRYRUN", user, *padded(client, theirs, name, request))) for client in (ours, theirs)]
                    assert permitted[0] == permitted[1], (user, name)
            # It is told and read again.
            before = ours.call("ACL", "LIST")
            assert ours.call("ACL", "SAVE") == b"OK"
            assert ours.call("ACL", "LOAD") == b"OK"
            assert ours.call("ACL", "LIST") == before


def padded(_: RawClient, theirs: RawClient, name: bytes, request: list[bytes]) -> list[bytes]:
    """The request with as many arguments as the command wants."""
    ((_, arity, *_),) = theirs.call("COMMAND", "INFO", name)
    return request + [b"1"] * (abs(arity) - len(request))


def denied(reply) -> bool:
    return isinstance(reply, bytes) and reply.startswith(b"This user has no permissions to run")


def test_what_is_not_there_is_still_unknown(server):
    with RawClient(server.port) as client:
        assert client.call("XADD", "k", "*", "a", "b").startswith("ERR unknown command 'XADD'")
        assert client.call("ACL", "SETUSER", "x", "reset", "+xadd", "-xgroup|help", "~*") == b"OK"
        assert client.call("ACL", "DRYRUN", "x", "xgroup", "help") == b"This user has no permissions to run the 'xgroup|help' command"
        assert client.call("ACL", "DRYRUN", "x", "XADD", "k", "*", "a", "b") == Error("ERR Command 'XADD' not found")
        assert client.call("ACL", "DRYRUN", "x", "nosuch") == Error("ERR Command 'nosuch' not found")
