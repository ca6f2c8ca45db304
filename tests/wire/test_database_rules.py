"""Users who are bound to databases: with every command of the table, by every way, they stay in theirs."""

from __future__ import annotations

import pytest

from support.commands import Command, all_commands
from support.raw import Error, RawClient, encode
from support.server import Server
from support.wait import wait_for

SETTINGS = """
notify-keyspace-events = "KEA"
[[database]]
index = 0
name = "broker"
[[database]]
index = 1
name = "cache"
[[database]]
index = 2
name = "sessions"
"""
SCRIPT = "return redis.pcall(unpack(ARGV))"


@pytest.fixture(scope="module")
def server():
    with Server("--enable-debug-command", "yes", settings=SETTINGS) as running:
        yield running


@pytest.fixture
def admin(connect):
    client = connect(timeout=20)
    assert client.call("FLUSHALL") == b"OK"
    for i in range(1, 10):
        assert client.call("SET", f"key{i}", "broker's") == b"OK"
    yield client
    client.call("ACL", "DELUSER", "alice")


@pytest.fixture
def login(admin, connect):
    """Makes clients of alice, who may do everything in the databases cache and sessions. They begin in database 0."""
    assert admin.call("ACL", "SETUSER", "alice", "reset", "on", "nopass", "~*", "&*", "+@all", "db=cache,2") == b"OK"

    def make() -> RawClient:
        client = connect(timeout=20)
        assert client.call("AUTH", "alice", "any") == b"OK"
        return client

    return make


@pytest.fixture
def alice(login):
    return login()


@pytest.fixture
def commands(admin):
    return [command for command in all_commands(admin) if "no_auth" not in command.flags]


def refused(reply: object, request: object) -> None:
    assert isinstance(reply, Error) and reply.startswith("NOPERM "), f"{request}: {reply}"


def refused_every_way(client: RawClient, request: list[str], no_multi: bool = False) -> None:
    """Directly, between others in a pipeline, in MULTI and in a script."""
    refused(client.call(*request), request)
    client.send_raw(encode("PING") + encode(*request) + encode("PING"))
    before, reply, after = client.read(), client.read(), client.read()
    assert (before, after) == (b"PONG", b"PONG")
    refused(reply, request)
    assert client.call("MULTI") == b"OK"
    reply = client.call(*request)
    assert isinstance(reply, Error) and (no_multi or reply.startswith("NOPERM ")), f"MULTI {request}: {reply}"
    assert client.call("EXEC") == Error("EXECABORT Transaction discarded because of previous errors."), request
    reply = client.call("EVAL", SCRIPT, "0", *request)
    assert isinstance(reply, Error), f"EVAL {request}: {reply}"


def touches_its_database(command: Command) -> bool:
    """All of @keyspace do but their HELP, and SWAPDB, which names both of its databases."""
    return command.name != "swapdb" and not command.name.endswith("|help") and bool(command.keys or "keyspace" in command.categories)


def test_the_rule_is_told(admin, alice):
    told = admin.call("ACL", "GETUSER", "alice")
    names = told[::2]
    assert names == [b"flags", b"passwords", b"commands", b"keys", b"channels", b"databases", b"selectors"]
    assert told[11] == b"db=cache,sessions"
    line = next(line for line in admin.call("ACL", "LIST") if line.startswith(b"user alice "))
    # LIST can be given back to SETUSER as it is.
    rules = line.decode().split(" ")[2:]
    assert admin.call("ACL", "SETUSER", "copy", "reset", *rules) == b"OK"
    again = admin.call("ACL", "GETUSER", "copy")
    assert again == told
    assert admin.call("ACL", "DELUSER", "copy") == 1
    assert admin.call("ACL", "SETUSER", "alice", "alldbs") == b"OK"
    assert admin.call("ACL", "GETUSER", "alice")[11] == b"alldbs"


def test_every_command_in_a_database_that_is_not_permitted(admin, alice, commands):
    before = admin.call("DEBUG", "DIGEST")
    tried = 0
    for command in commands:
        if touches_its_database(command):
            refused_every_way(alice, command.request, "no_multi" in command.flags)
            tried += 1
    assert tried > 120
    assert admin.call("DEBUG", "DIGEST") == before


def test_every_command_in_a_database_that_is_permitted(admin, alice, commands):
    """The rule for databases itself refuses nothing there. ACL DRYRUN executes nothing."""
    del alice
    assert admin.call("SELECT", "cache") == b"OK"
    for command in commands:
        if command.keys:
            assert admin.call("ACL", "DRYRUN", "alice", *command.request) == b"OK", command.request
    assert admin.call("SELECT", "0") == b"OK"


@pytest.mark.parametrize("request_", [
    ["SELECT", "0"], ["SELECT", "broker"], ["SELECT", "3"], ["SELECT", "15"], ["MOVE", "own", "0"], ["MOVE", "own", "broker"],
    ["COPY", "own", "own", "DB", "0"], ["COPY", "own", "own2", "REPLACE", "DB", "broker"], ["COPY", "own", "own2", "db", "3", "REPLACE"],
    ["COPY", "own", "own2", "DB", "2", "DB", "0"], ["COPY", "own", "own2", "DB", "0", "DB", "2"],
    ["SWAPDB", "0", "1"], ["SWAPDB", "1", "0"], ["SWAPDB", "broker", "sessions"], ["SWAPDB", "3", "4"],
    ["FLUSHALL"], ["FLUSHALL", "ASYNC"], ["FLUSHALL", "SYNC"],
    ["CONFIG", "SET", "db.0.appendfsync", "always"], ["CONFIG", "SET", "db.broker.appendfsync", "always"],
    ["CONFIG", "SET", "db.cache.appendfsync", "always", "DB.Broker.appendfsync", "always"],
], ids=" ".join)
def test_requests_that_name_another_database(admin, alice, request_):
    assert alice.call("SELECT", "1") == b"OK"
    assert alice.call("SET", "own", "v") == b"OK"
    before = admin.call("DEBUG", "DIGEST")
    refused_every_way(alice, request_)
    assert alice.call("GET", "own") == b"v"
    assert alice.call("EXISTS", "key1") == 0
    assert admin.call("DEBUG", "DIGEST") == before


@pytest.mark.parametrize("request_", [
    ["DEBUG", "OBJECT", "key1"], ["DEBUG", "DIGEST-VALUE", "key1"], ["DEBUG", "POPULATE", "3"], ["DEBUG", "DIGEST"],
], ids=" ".join)
def test_debug_is_no_way_round(admin, alice, request_):
    before = admin.call("DEBUG", "DIGEST")
    refused(alice.call(*request_), request_)
    assert admin.call("DEBUG", "DIGEST") == before


def test_permitted_ways_between_own_databases(alice):
    assert alice.call("SELECT", "cache") == b"OK"
    assert alice.call("SET", "own", "v") == b"OK"
    assert alice.call("COPY", "own", "own", "DB", "sessions") == 1
    assert alice.call("SWAPDB", "1", "2") == b"OK"
    assert alice.call("DEL", "own") == 1
    assert alice.call("SELECT", "sessions") == b"OK"
    assert alice.call("MOVE", "own", "cache") == 1
    assert alice.call("EVAL", "redis.call('SELECT', '1') return redis.call('GET', 'own')", "0") == b"v"
    assert alice.call("FLUSHDB") == b"OK"


def test_scripts_stay_inside(admin, alice):
    assert alice.call("SELECT", "1") == b"OK"
    before = admin.call("DEBUG", "DIGEST")
    for way in ("redis.pcall('SELECT', '0')", "redis.pcall('select', 'broker')", "pcall(redis.call, 'SELECT', 0)",
                "redis.pcall('SELECT', '2') redis.pcall('SELECT', '0')"):
        assert alice.call("EVAL", f"{way} return redis.pcall('GET', 'key1')", "0") is None, way
        assert alice.call("EVAL", f"{way} redis.pcall('DEL', 'key1') return redis.pcall('DBSIZE')", "0") == 0, way
    for way in ("'MOVE', 'x', '0'", "'COPY', 'x', 'x', 'DB', '0'", "'SWAPDB', '0', '1'", "'FLUSHALL'"):
        assert isinstance(alice.call("EVAL", f"return redis.call({way})", "0"), Error), way
        assert alice.call("EVAL", f"return redis.acl_check_cmd({way})", "0") is None, way
    assert admin.call("DEBUG", "DIGEST") == before


def test_exec_looks_again(admin, login):
    client = login()
    assert client.call("SELECT", "1") == b"OK"
    for request in (["MULTI"], ["SET", "a", "v"], ["SELECT", "2"], ["SET", "b", "v"], ["SELECT", "1"], ["GET", "a"]):
        assert client.call(*request) == (b"OK" if request == ["MULTI"] else b"QUEUED")
    assert admin.call("ACL", "SETUSER", "alice", "resetdbs", "db=sessions") == b"OK"
    first, select, second, back, read = client.call("EXEC")
    refused(first, "SET a")
    assert (select, second) == (b"OK", b"OK")
    refused(back, "SELECT 1")
    assert read is None  # the connection has stayed in sessions, which has no `a`
    assert admin.call("ACL", "SETUSER", "alice", "db=cache,sessions") == b"OK"


@pytest.mark.parametrize("request_", [
    ["SUBSCRIBE", "__keyspace@0__:key1"], ["SUBSCRIBE", "__keyevent@0__:set"], ["SUBSCRIBE", "free", "__keyevent@15__:del"],
    *(["PSUBSCRIBE", pattern] for pattern in (
        "*", "__*", "__keyspace@*", "__keyspace@0__:*", "__keyevent@?__:set", "__keyevent@[0-2]__:*", "__keyspace@1*", "__keyspace@[^1]__:*",
        "?_keyspace@0__:x", "[_]_keyspace@0__:x", "\\__keyspace@\\0__:x", "*@0__:*", "*:set", "*1", "__key*[0]*")),
], ids=" ".join)
def test_events_of_other_databases(alice, request_):
    refused_every_way(alice, request_, no_multi=True)


@pytest.mark.parametrize("request_", [
    ["SUBSCRIBE", "__keyspace@1__:x"], ["PSUBSCRIBE", "__keyevent@2__:*"], ["PSUBSCRIBE", "__keyspace@[12]__:*"], ["PSUBSCRIBE", "news.*"],
    ["SUBSCRIBE", "__keyspace@x"],
], ids=" ".join)
def test_events_of_own_databases(alice, request_):
    assert alice.call(*request_) == [request_[0].lower().encode(), request_[1].encode(), 1]


def test_monitor_shows_own_databases(admin, alice):
    assert alice.call("MONITOR") == b"OK"
    for request in (["SET", "hidden", "v"], ["EVAL", "return redis.call('GET', 'hidden')", "0"], ["SELECT", "1"], ["SET", "shown", "v"],
                    ["SELECT", "0"], ["SET", "hidden", "v"], ["SELECT", "2"], ["ECHO", "end"], ["SELECT", "0"]):
        assert not isinstance(admin.call(*request), Error)
    lines = []
    while not lines or b'"ECHO"' not in lines[-1]:
        lines.append(alice.read())
    assert any(b'"shown"' in line for line in lines)
    assert not any(b"hidden" in line for line in lines)


def test_other_sessions(admin, alice, connect):
    """Only sessions in databases that may be reached can be seen, closed and woken."""
    assert alice.call("SELECT", "1") == b"OK"
    hidden, shown = connect(timeout=20), connect(timeout=20)
    assert hidden.call("CLIENT", "SETNAME", "hidden") == b"OK"
    assert shown.call("CLIENT", "SETNAME", "shown") == b"OK"
    assert shown.call("SELECT", "2") == b"OK"
    hidden_id, shown_id = hidden.call("CLIENT", "ID"), shown.call("CLIENT", "ID")
    address = next(word for word in hidden.call("CLIENT", "INFO").decode().split() if word.startswith("addr="))[5:]

    listed = alice.call("CLIENT", "LIST")
    assert b"name=shown" in listed and b"name=hidden" not in listed and b"user=alice" in listed
    assert b"hidden" not in alice.call("CLIENT", "LIST", "ID", hidden_id, shown_id)

    hidden.send("BLPOP", "nothing", "0")
    shown.send("BLPOP", "nothing", "0")
    wait_for(lambda: b"blocked_clients:2\r\n" in admin.call("INFO", "clients"), "two clients are blocked")
    reply = alice.call("CLIENT", "UNBLOCK", hidden_id)
    assert reply == 0 or isinstance(reply, Error), reply
    assert alice.call("CLIENT", "UNBLOCK", shown_id) == 1
    assert shown.read() is None
    for request in (["ID", hidden_id], [address], ["ADDR", address], ["USER", "default", "ID", hidden_id]):
        reply = alice.call("CLIENT", "KILL", *request)
        assert reply == 0 or isinstance(reply, Error), f"{request}: {reply}"
    # The hidden one is still there, and still waits.
    assert admin.call("RPUSH", "nothing", "v") == 1
    assert hidden.read() == [b"nothing", b"v"]
    assert alice.call("CLIENT", "KILL", "ID", shown_id) == 1
    assert shown.closed()


def test_a_database_that_is_taken_away(admin, alice):
    assert alice.call("SELECT", "1") == b"OK"
    assert alice.call("SET", "own", "v") == b"OK"
    assert admin.call("ACL", "SETUSER", "alice", "resetdbs", "db=2") == b"OK"
    refused_every_way(alice, ["GET", "own"])
    assert alice.call("SELECT", "2") == b"OK"
    refused_every_way(alice, ["SELECT", "1"])


def test_the_log_tells(admin, alice):
    assert admin.call("ACL", "LOG", "RESET") == b"OK"
    refused(alice.call("GET", "key1"), "GET")
    (entry,) = admin.call("ACL", "LOG")
    told = dict(zip(entry[::2], entry[1::2]))
    assert told[b"reason"] == b"database" and told[b"username"] == b"alice" and told[b"count"] == 1
    assert admin.call("ACL", "LOG", "RESET") == b"OK"
