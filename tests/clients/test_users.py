"""redis-py's acl_* methods in both protocols, and logins with a user's name."""

from __future__ import annotations

import hashlib
import pathlib
import shlex

import pytest
import redis
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from support.server import Server

README = pathlib.Path(__file__).parents[2] / "README.md"


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def connect(server, request):
    """Makes clients that are closed after the test."""
    clients = []

    def make(**options) -> redis.Redis:
        clients.append(redis.Redis(port=server.port, protocol=request.param, decode_responses=True, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect):
    client = connect()
    client.flushall()
    yield client
    client.acl_deluser("alice", "bob")
    client.acl_log_reset()


def test_users(client):
    assert client.acl_whoami() == "default"
    assert client.acl_users() == ["default"]
    assert client.acl_setuser("alice", enabled=True, passwords=["+first", "+second"], keys=["cache:*"], channels=["news.*"],
                              categories=["+@read", "-@dangerous"], commands=["+set"], reset=True)
    assert client.acl_users() == ["alice", "default"]
    assert any(line.startswith("user alice on ") for line in client.acl_list())
    assert client.acl_deluser("alice") == 1
    assert client.acl_getuser("alice") is None


def test_getuser(client):
    client.acl_setuser("alice", enabled=True, passwords=["+first"], keys=["cache:*"], channels=["news.*"], categories=["+@read"], commands=["-get"],
                       selectors=[("+set", "%W~own:*")], reset=True)
    user = client.acl_getuser("alice")
    assert "on" in user["flags"] and user["enabled"] is True
    assert user["passwords"] == [hashlib.sha256(b"first").hexdigest()]
    assert user["categories"] == ["-@all", "+@read"] and user["commands"] == ["-get"]
    assert user["keys"] == ["~cache:*"] and user["channels"] == ["&news.*"]
    assert len(user["selectors"]) == 1


def test_passwords_are_added_and_removed(client, connect):
    client.acl_setuser("alice", enabled=True, passwords=["+first", "+second"], commands=["+@all"], reset=True)
    assert connect(username="alice", password="second").acl_whoami() == "alice"
    client.acl_setuser("alice", enabled=True, passwords=["-first"])
    with pytest.raises(AuthenticationError):
        connect(username="alice", password="first").ping()
    client.acl_setuser("alice", enabled=True, hashed_passwords=["+" + hashlib.sha256(b"third").hexdigest()])
    assert connect(username="alice", password="third").acl_whoami() == "alice"
    client.acl_setuser("alice", enabled=False)
    with pytest.raises(AuthenticationError):
        connect(username="alice", password="third").ping()


def test_a_url_with_a_user(client, server):
    client.acl_setuser("alice", enabled=True, passwords=["+p@ss/word"], keys=["a"], commands=["+@all"], reset=True)
    with redis.Redis.from_url(f"redis://alice:p%40ss%2Fword@127.0.0.1:{server.port}/0") as alice:
        assert alice.acl_whoami() == "alice"
        assert alice.set("a", "v") is True


def test_what_is_not_permitted(client, connect):
    client.acl_setuser("alice", enabled=True, nopass=True, keys=["a*"], channels=["news"], commands=["+@all", "-flushall"], reset=True)
    alice = connect(username="alice", password="any")
    assert alice.set("a", "v")
    for refused in (lambda: alice.get("b"), alice.flushall, lambda: alice.publish("other", "v"), lambda: alice.mget("a", "b")):
        with pytest.raises(NoPermissionError):
            refused()
    pipeline = alice.pipeline(transaction=False).get("a").get("b").get("a")
    first, second, third = pipeline.execute(raise_on_error=False)
    assert (first, third) == ("v", "v") and isinstance(second, NoPermissionError)
    with pytest.raises((NoPermissionError, redis.exceptions.ExecAbortError)):
        alice.pipeline().set("a", "w").set("b", "w").execute()
    assert alice.get("a") == "v"
    with pytest.raises(ResponseError):
        alice.register_script("return redis.call('GET', 'b')")()


def test_categories(client):
    assert {"read", "write", "dangerous", "sortedset"} <= set(client.acl_cat())
    assert "lpush" in client.acl_cat("list") and "get" not in client.acl_cat("list")
    with pytest.raises(ResponseError):
        client.acl_cat("nosuch")


def test_generated_passwords(client):
    assert len(client.acl_genpass()) == 64 and len(client.acl_genpass(12)) == 3
    assert client.acl_genpass() != client.acl_genpass()


def test_log(client, connect):
    client.acl_log_reset()
    client.acl_setuser("alice", enabled=True, nopass=True, keys=["a*"], commands=["+@all", "-flushall"], reset=True)
    alice = connect(username="alice", password="any")
    for refused in (alice.flushall, lambda: alice.get("secret"), lambda: alice.get("secret")):
        with pytest.raises(NoPermissionError):
            refused()
    log = client.acl_log()
    assert [(entry["reason"], entry["object"], entry["count"]) for entry in log] == [("key", "secret", 2), ("command", "flushall", 1)]
    assert all(entry["username"] == "alice" and "alice" in str(entry["client-info"]) for entry in log)
    assert 0 <= float(log[0]["age-seconds"]) < 60
    assert len(client.acl_log(count=1)) == 1
    assert client.acl_log_reset()
    assert client.acl_log() == []


def test_dryrun(client):
    client.acl_setuser("alice", keys=["a*"], commands=["+set"], reset=True)
    assert client.acl_dryrun("alice", "set", "a", "v") == "OK"
    assert client.acl_dryrun("alice", "get", "a").startswith("This user has no permissions to run the 'get' command")
    with pytest.raises(ResponseError):
        client.acl_dryrun("nobody", "get", "a")


def test_help(client):
    assert any("SETUSER" in line for line in client.acl_help())


def test_without_a_file(client):
    for file_command in (client.acl_load, client.acl_save):
        with pytest.raises(ResponseError):
            file_command()


def test_clients_of_a_user(client, connect):
    client.acl_setuser("alice", enabled=True, nopass=True, commands=["+@all"], reset=True)
    alice = connect(username="alice", password="any", single_connection_client=True)
    assert alice.client_info()["user"] == "alice"
    assert [entry["user"] for entry in client.client_list()].count("alice") == 1
    assert client.client_kill_filter(user="alice") == 1


def test_the_user_of_the_readme_can_have_a_cache():
    """The sample is executed as it stands there, and Django's cache works as that user, clear() too."""
    (line,) = [line for line in README.read_text().splitlines() if line.strip().startswith("$ redis-cli acl setuser ")]
    rules = shlex.split(line)[2:]
    databases = '[[database]]\nindex = 0\nname = "broker"\n[[database]]\nindex = 1\nname = "cache"\n[[database]]\nindex = 2\nname = "sessions"\nflush = "protected"\n'
    with Server(settings=databases) as server, redis.Redis(port=server.port) as admin:
        assert admin.execute_command(*rules)
        admin.set("task", "kept")
        address = f"redis://django:secret@127.0.0.1:{server.port}"
        cache = RedisCache(f"{address}/1", {})
        cache.set("k", [1, 2])
        cache.set_many({"a": 1, "b": 2})
        assert cache.get("k") == [1, 2] and cache.incr("a") == 2
        cache.clear()
        assert cache.get("k") is None
        sessions = RedisCache(f"{address}/2", {})
        sessions.set("visitor", "ada")
        with pytest.raises(ResponseError, match="^PROTECTED|protected"):
            sessions.clear()
        with pytest.raises(NoPermissionError):
            RedisCache(f"{address}/0", {}).get("task")
        assert admin.get("task") == b"kept"
