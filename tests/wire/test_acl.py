"""The ACL, tried with every command of the table: whoever may not, may not by any way.

The commands come from COMMAND, so that a new one is tried without being named here.
"""

from __future__ import annotations

import pytest

from support.commands import Command, all_commands
from support.raw import Error, RawClient, encode
from support.server import Server

# What the ways themselves need; a user keeps it unless it is what is tried.
TOOLS = ("ping", "multi", "exec", "eval")

SCRIPT = "return redis.pcall(unpack(ARGV))"
NO_KEY = "NOPERM this user has no permissions to access one of the keys used as arguments"
NO_CHANNEL = "NOPERM this user has no permissions to access one of the channels used as arguments"
REFUSED_IN_SCRIPT = (
    "ERR This Redis command is not allowed from script",
    "ERR The user executing the script can't run this command or subcommand",
    "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments",
    "ERR The user executing the script can't publish to the channel mentioned in the command",
)


@pytest.fixture(scope="module")
def server():
    with Server("--enable-debug-command", "yes") as running:
        yield running


@pytest.fixture
def admin(connect):
    client = connect(timeout=20)
    assert client.call("FLUSHALL") == b"OK"
    # What a command that is not refused would change.
    for i in range(1, 10):
        assert client.call("SET", f"key{i}", "value") == b"OK"
    yield client
    client.call("ACL", "DELUSER", "alice")
    client.call("ACL", "LOG", "RESET")


@pytest.fixture
def commands(admin):
    """Every command but those that anybody may call: AUTH, HELLO, QUIT, RESET."""
    found = all_commands(admin)
    assert len(found) > 200
    return [command for command in found if "no_auth" not in command.flags]


@pytest.fixture
def alice(admin, connect):
    """A client of the user alice."""
    assert admin.call("ACL", "SETUSER", "alice", "reset", "on", "nopass") == b"OK"
    client = connect(timeout=20)
    assert client.call("AUTH", "alice", "any") == b"OK"
    return client


def permit(admin: RawClient, *rules: str) -> None:
    """Makes these the rules of alice."""
    assert admin.call("ACL", "SETUSER", "alice", "reset", "on", "nopass", *rules) == b"OK"


def tools_for(command: Command) -> list[str]:
    return [f"+{tool}" for tool in TOOLS if tool != command.name]


def refused_directly(client: RawClient, command: Command, text: str) -> None:
    reply = client.call(*command.request)
    wanted = f"EXECABORT Transaction discarded because of: {text}" if command.name == "exec" else text
    assert reply == Error(wanted), f"{command.request}: {reply}"


def refused_in_pipeline(client: RawClient, command: Command, text: str) -> None:
    """Between others, in one write: what is parsed ahead is checked too."""
    neighbour, answer = (("PING",), b"PONG") if command.name != "ping" else (("AUTH", "alice", "any"), b"OK")
    client.send_raw(encode(*neighbour) + encode(*command.request) + encode(*neighbour))
    before, reply, after = client.read(), client.read(), client.read()
    assert isinstance(reply, Error) and text in reply, f"{command.request}: {reply}"
    assert (before, after) == (answer, answer), command.request


def refused_in_transaction(client: RawClient, command: Command, text: str) -> None:
    if command.name in ("multi", "exec"):
        return
    assert client.call("MULTI") == b"OK"
    reply = client.call(*command.request)
    assert isinstance(reply, Error) and (text in reply or "not allowed inside a transaction" in reply), f"{command.request}: {reply}"
    assert client.call("EXEC") == Error("EXECABORT Transaction discarded because of previous errors."), command.request


def refused_in_script(client: RawClient, command: Command) -> None:
    if command.name == "eval":
        return
    reply = client.call("EVAL", SCRIPT, "0", *command.request)
    assert isinstance(reply, Error) and reply.startswith(REFUSED_IN_SCRIPT), f"{command.request}: {reply}"


def refused_every_way(client: RawClient, command: Command, text: str) -> None:
    refused_directly(client, command, text)
    refused_in_pipeline(client, command, text)
    refused_in_transaction(client, command, text)
    refused_in_script(client, command)


def no_command(command: Command) -> str:
    return f"NOPERM this user has no permissions to run the '{command}' command"


def test_a_command_that_is_taken_away(admin, alice, commands):
    before = admin.call("DEBUG", "DIGEST")
    for command in commands:
        permit(admin, "~*", "&*", "+@all", f"-{command}", *tools_for(command))
        refused_every_way(alice, command, no_command(command))
    assert admin.call("DEBUG", "DIGEST") == before


def test_a_command_whose_category_is_taken_away(admin, alice, commands):
    """Each of its categories is enough."""
    before = admin.call("DEBUG", "DIGEST")
    tried = 0
    for command in commands:
        for category in sorted(command.categories):
            permit(admin, "~*", "&*", "+@all", f"-@{category}", *tools_for(command))
            refused_every_way(alice, command, no_command(command))
            tried += 1
    assert tried > 2 * len(commands)
    assert admin.call("DEBUG", "DIGEST") == before


def test_a_command_that_was_never_given(admin, alice, commands):
    before = admin.call("DEBUG", "DIGEST")
    for command in commands:
        permit(admin, "~*", "&*", "-@all", *tools_for(command))
        refused_every_way(alice, command, no_command(command))
    assert admin.call("DEBUG", "DIGEST") == before


def test_a_category_gives_its_commands_and_no_others(admin, commands):
    """By ACL DRYRUN, which executes nothing."""
    categories = [category.decode() for category in admin.call("ACL", "CAT")]
    assert {category for command in commands for category in command.categories} <= set(categories)
    for category in categories:
        assert admin.call("ACL", "SETUSER", "alice", "reset", "~*", "&*", f"+@{category}") == b"OK"
        for command in commands:
            reply = admin.call("ACL", "DRYRUN", "alice", *command.request)
            wanted = b"OK" if category in command.categories else f"This user has no permissions to run the '{command}' command".encode()
            assert reply == wanted, (category, command.request)


def test_a_category_lists_its_commands(admin, commands):
    everything = all_commands(admin)
    for category in admin.call("ACL", "CAT"):
        listed = {name.decode() for name in admin.call("ACL", "CAT", category)}
        containers = {name for name in listed if "|" not in name and any(command.name.startswith(name + "|") for command in everything)}
        assert listed - containers == {command.name for command in everything if category.decode() in command.categories}, category


def test_each_key_of_a_request_counts(admin, alice, commands):
    """All keys but one are permitted, for each of them."""
    before = admin.call("DEBUG", "DIGEST")
    tried = 0
    for command in commands:
        for key, _ in command.keys:
            permit(admin, "+@all", "&*", "~other", *(f"~{other}" for other, _ in command.keys if other != key))
            refused_every_way(alice, command, NO_KEY)
            tried += 1
    assert tried > 120
    assert admin.call("DEBUG", "DIGEST") == before


def test_what_a_command_does_to_its_keys_counts(admin, alice, commands):
    """A key that is read needs %R~, one that is changed needs %W~."""
    before = admin.call("DEBUG", "DIGEST")
    reads = writes = 0
    for command in commands:
        for key, flags in command.keys:
            others = [f"~{other}" for other, _ in command.keys if other != key]
            if "access" in flags:
                permit(admin, "+@all", "&*", f"%W~{key}", *others)
                refused_every_way(alice, command, NO_KEY)
                reads += 1
            if flags & {"insert", "update", "delete"}:
                permit(admin, "+@all", "&*", f"%R~{key}", *others)
                refused_every_way(alice, command, NO_KEY)
                writes += 1
    assert reads > 60 and writes > 60
    assert admin.call("DEBUG", "DIGEST") == before


def test_channels(admin, alice, commands):
    """Of what has to do with channels, only asking for them and leaving them needs none."""
    free = {"unsubscribe", "punsubscribe", "sunsubscribe"}
    tried = set()
    permit(admin, "~*", "+@all", "&other")
    for command in commands:
        if "pubsub" in command.flags and "|" not in command.name and command.name not in free:
            refused_every_way(alice, command, NO_CHANNEL)
            tried.add(command.name)
    assert tried >= {"publish", "subscribe", "psubscribe", "spublish", "ssubscribe"}


def test_selectors_are_not_added_up(admin, alice, commands):
    """One selector has the command, another one the key."""
    for command in commands:
        if command.keys:
            keys = [f"~{key}" for key, _ in command.keys]
            permit(admin, "-@all", f"({' '.join(['+@all', f'-{command}', *keys])})", f"(+{command} ~other)")
            refused_directly(alice, command, NO_KEY)


def test_rules_that_change_between_queueing_and_exec(admin, alice, commands):
    """All commands are queued by a user who may call them, and refused when they are to be executed."""
    apart = {"multi", "exec", "discard", "watch"}
    wanted = []
    before = admin.call("DEBUG", "DIGEST")
    permit(admin, "~*", "&*", "+@all")
    assert alice.call("MULTI") == b"OK"
    for command in commands:
        if "no_multi" not in command.flags and command.name not in apart:
            reply = alice.call(*command.request)
            assert reply == b"QUEUED", f"{command.request}: {reply}"
            wanted.append(command)
    permit(admin, "~*", "&*", "-@all", "+exec")
    replies = alice.call("EXEC")
    assert isinstance(replies, list) and len(replies) == len(wanted) > 200
    for command, reply in zip(wanted, replies):
        assert isinstance(reply, Error) and reply.startswith("NOPERM ACLs rules changed between"), f"{command.request}: {reply}"
    assert admin.call("DEBUG", "DIGEST") == before


def test_arguments_that_make_no_sense_open_nothing(admin, alice):
    """Where the keys cannot be told, the command itself has to refuse the request."""
    permit(admin, "+@all", "&*", "~other")
    before = admin.call("DEBUG", "DIGEST")
    for request in (["EVAL", "return redis.call('GET', 'key1')", "-1", "key1"], ["EVAL", "return redis.call('GET', KEYS[1])", "1x", "key1"],
                    ["EVAL", "return 1", "99999999999999999999", "key1"], ["EVAL", "return 1", "2", "key1"],
                    ["ZUNIONSTORE", "other", "0", "key1"], ["ZUNIONSTORE", "other", "-1", "key1"], ["ZUNIONSTORE", "other", "9", "key1"],
                    ["LMPOP", "x", "key1", "LEFT"], ["LMPOP", "0", "key1", "LEFT"], ["SINTERCARD", "2", "other"], ["ZDIFF", "1.5", "key1"],
                    ["SORT", "other", "STORE"], ["SORT", "other", "STORE", "other", "STORE", "key1"], ["COPY", "other", "key1", "DB"],
                    ["BITOP", "NOT", "other", "key1", "key2"], ["MSET", "other", "v", "key1"], ["SET", "key1", "v", "GET", "NOSUCH"]):
        reply = alice.call(*request)
        assert isinstance(reply, Error), f"{request}: {reply}"
    assert admin.call("DEBUG", "DIGEST") == before


# Rules of every length and of any bytes

def test_huge_rules(admin):
    megabyte = "x" * (1 << 20)
    assert admin.call("ACL", "SETUSER", "alice", "reset") == b"OK"
    for sign in ("", "+", "-@", "+client|", "%", "#", "!", "<", "(", "(+"):
        rule = sign + megabyte + (")" if sign.startswith("(") else "")
        reply = admin.call("ACL", "SETUSER", "alice", rule)
        assert isinstance(reply, Error) and reply.startswith("ERR "), rule[:20]
    assert admin.call("ACL", "SETUSER", "alice", "(" + "~a " * 1000 + "+get" * 100_000) != b"OK"
    assert admin.call("ACL", "GETUSER", "alice")[3] == []


@pytest.mark.parametrize("rule", [
    "(" * 100_000, ")" * 100_000, "()" * 50_000, "(" * 50_000 + ")" * 50_000, "(~a " * 25_000, "( " * 50_000 + ") " * 50_000,
], ids=["open", "closed", "pairs", "nested", "open-with-rules", "spaced"])
def test_deep_nesting(admin, rule):
    assert admin.call("ACL", "SETUSER", "alice", "reset") == b"OK"
    reply = admin.call("ACL", "SETUSER", "alice", rule)
    assert isinstance(reply, Error) and reply.startswith("ERR ")
    # Word by word too: parts of a selector are put together.
    reply = admin.call("ACL", "SETUSER", "alice", *(["(~a"] * 1000))
    assert reply == Error("ERR Unmatched parenthesis in acl selector starting at '(~a'.")
    assert admin.call("ACL", "GETUSER", "alice")[12:] == [b"selectors", []]


def test_rules_of_odd_bytes(admin):
    """No byte behind a sign does more than be refused or be taken as it is."""
    for sign in (b"", b"+", b"-", b"+@", b"-@", b"+client|", b"~", b"%", b"%R", b"%R~", b"&", b"#", b"!", b"<", b"(", b"(+", b"(%", b"(&"):
        for byte in range(256):
            reply = admin.call("ACL", "SETUSER", "alice", b"reset", sign + bytes([byte]))
            assert reply == b"OK" or isinstance(reply, Error) and reply.startswith("ERR "), (sign, byte)
            assert "\r" not in str(reply) and "\n" not in str(reply)
    assert admin.call("PING") == b"PONG"


def test_keys_that_patterns_take_long_to_match(admin, alice):
    """Patterns of many stars against a key that nearly matches."""
    permit(admin, "+@all", "~" + "a*" * 16 + "b", "&" + "a*" * 16 + "b")
    assert alice.call("GET", "a" * 100) == Error(NO_KEY)
    assert admin.call("PING") == b"PONG"


# Secrets

def test_passwords_are_shown_nowhere(server, admin, connect):
    secret = "S3cr3tPassw0rd"
    assert admin.call("CONFIG", "SET", "slowlog-log-slower-than", "0", "loglevel", "debug") == b"OK"
    monitor = connect(timeout=20)
    assert monitor.call("MONITOR") == b"OK"
    assert admin.call("ACL", "SETUSER", "alice", "reset", "on", f">{secret}", "+@all") == b"OK"
    assert isinstance(admin.call("ACL", "SETUSER", "alice", f"<{secret}x"), Error)
    assert isinstance(admin.call("AUTH", "alice", secret + "x"), Error)
    assert isinstance(admin.call("HELLO", "2", "AUTH", "alice", secret + "x"), Error)
    with RawClient(server.port, timeout=20) as client:
        assert client.call("AUTH", "alice", secret) == b"OK"
        assert isinstance(client.call("HELLO", "2", "AUTH", "alice", secret), list)
    assert admin.call("CONFIG", "SET", "requirepass", secret) == b"OK"
    assert admin.call("CONFIG", "SET", "requirepass", "") == b"OK"
    shown = [str(admin.call("SLOWLOG", "GET", "-1")), str(admin.call("ACL", "LOG")), str(admin.call("CLIENT", "LIST")), server.read_log()]
    assert admin.call("ECHO", "end") == b"end"
    lines = []
    while not lines or not lines[-1].endswith('"ECHO" "end"'):
        lines.append(monitor.read().decode())
    for text in (*shown, *lines):
        assert secret not in text, text
    assert admin.call("CONFIG", "SET", "slowlog-log-slower-than", "10000", "loglevel", "notice") == b"OK"
