"""Debian's redis-cli 7.0: one-shot commands, its output formats, its tools, and a person at the terminal."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import redis

from support.background import Background
from support.terminal import Terminal
from support.wait import wait_for


@pytest.fixture
def client(server):
    with redis.Redis(port=server.port, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def cli(server, client):
    """Runs redis-cli with the given arguments and answers what it printed, without the last newline."""
    def run(*arguments: str, stdin: bytes = b"", status: int = 0) -> str:
        done = subprocess.run(["redis-cli", "-p", str(server.port), *arguments], input=stdin, capture_output=True,
                              timeout=60)
        assert done.returncode == status, (done.stdout, done.stderr)
        return (done.stdout + done.stderr).decode().rstrip("\n")
    return run


# Commands and formats

def test_commands(cli):
    assert cli("ping") == "PONG"
    assert cli("set", "key", "value") == "OK"
    assert cli("get", "key") == "value"
    assert cli("--no-raw", "get", "key") == '"value"'
    assert cli("--no-raw", "get", "absent") == "(nil)"
    assert cli("rpush", "list", "a", "b") == "2"
    assert cli("--no-raw", "lrange", "list", "0", "-1") == '1) "a"\n2) "b"'
    assert cli("--no-raw", "incr", "list", status=0) == \
        "(error) WRONGTYPE Operation against a key holding the wrong kind of value"
    assert "unknown command" in cli("-e", "nonsense", status=1)


def test_database_and_repetition(cli, client):
    cli("-n", "3", "set", "only here", "1")
    assert cli("get", "only here") == ""
    assert cli("-n", "3", "get", "only here") == "1"
    assert cli("-r", "3", "-i", "0.01", "incr", "count") == "1\n2\n3"
    assert cli("-u", f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/3", "dbsize") == "1"


def test_password(cli, client):
    client.config_set("requirepass", "secret")
    try:
        assert cli("ping") == "NOAUTH Authentication required."
        assert cli("-a", "secret", "--no-auth-warning", "ping") == "PONG"
        assert cli("--user", "default", "--pass", "secret", "--no-auth-warning", "ping") == "PONG"
        assert "WRONGPASS invalid username-password pair or user is disabled." in cli("-a", "wrong", "ping")
    finally:
        client.config_set("requirepass", "")


def test_arguments_from_standard_input(cli, client):
    cli("-x", "set", "key", stdin=b"from\0stdin\n")
    assert client.get("key") == "from\0stdin\n"
    cli("-X", "TAG", "hset", "hash", "TAG", "value", stdin=b"field")
    assert client.hgetall("hash") == {"field": "value"}
    assert cli(stdin=b"set a 1\nincr a\nget a\n") == "OK\n2\n2"


def test_output_formats(cli, client):
    client.hset("hash", mapping={"a": "1"})
    client.zadd("scores", {"one": 1.5})
    client.rpush("list", 'quo"ted', "two\n")
    assert cli("--csv", "lrange", "list", "0", "-1") == r'"quo\"ted","two\n"'
    assert json.loads(cli("--json", "hgetall", "hash")) == {"a": "1"}
    assert json.loads(cli("--json", "zrange", "scores", "0", "-1", "withscores")) == [["one", 1.5]]
    assert json.loads(cli("--json", "get", "absent")) is None
    assert json.loads(cli("--quoted-json", "lrange", "list", "1", "-1")) == ["two\\n"]
    assert json.loads(cli("-2", "--json", "hgetall", "hash")) == ["a", "1"]
    assert cli("-3", "--no-raw", "hgetall", "hash") == '1# "a" => "1"'
    assert cli("-3", "--no-raw", "zscore", "scores", "one") == "(double) 1.5"
    assert cli("-3", "--no-raw", "get", "absent") == "(nil)"
    assert cli("-3", "info", "server").startswith("# Server")


def test_script(cli, tmp_path):
    script = tmp_path / "script.lua"
    script.write_text("redis.call('set', KEYS[1], ARGV[1]) return redis.call('get', KEYS[1])")
    assert cli("--eval", str(script), "key", ",", "value") == "value"


# Tools

def test_scan(cli, client):
    client.mset({f"user:{number}": number for number in range(300)} | {"other": 1})
    assert sorted(cli("--scan", "--pattern", "user:*").split("\n")) == sorted(client.keys("user:*"))
    assert len(cli("--scan").split("\n")) == 301
    assert cli("--scan", "--pattern", "nothing*") == ""


def fill(client) -> None:
    client.set("string", "x" * 1000)
    client.set("short", "x")
    client.rpush("list", *range(30))
    client.sadd("set", *range(20))
    client.hset("hash", mapping={str(field): field for field in range(40)})
    client.zadd("zset", {str(member): member for member in range(50)})


def test_bigkeys(cli, client):
    fill(client)
    report = cli("--bigkeys")
    assert "Sampled 6 keys in the keyspace!" in report
    for line in ["Biggest string found '\"string\"' has 1000 bytes", "Biggest   list found '\"list\"' has 30 items",
                 "Biggest    set found '\"set\"' has 20 members", "Biggest   hash found '\"hash\"' has 40 fields",
                 "Biggest   zset found '\"zset\"' has 50 members", "2 strings with 1001 bytes (33.33% of keys"]:
        assert line in report


def test_memkeys(cli, client):
    fill(client)
    for options in (["--memkeys"], ["--memkeys", "--memkeys-samples", "5"]):
        report = cli(*options)
        assert "Sampled 6 keys in the keyspace!" in report
        size = re.search(r"Biggest string found '\"string\"' has (\d+) bytes", report)
        assert 1000 <= int(size[1]) < 3000


def test_hotkeys(cli, client):
    client.set("hot", 1)
    refusal = cli("--hotkeys", status=1)
    assert "An LFU maxmemory policy is not selected, access frequency not tracked." in refusal
    client.config_set("maxmemory-policy", "allkeys-lfu")
    try:
        client.set("hot", 1)
        for _ in range(200):
            client.get("hot")
        assert re.search(r'hot key found with counter: \d+\s+keyname: "hot"', cli("--hotkeys"))
    finally:
        client.config_set("maxmemory-policy", "noeviction")


def test_pipe(cli, client):
    """100,000 commands: the protocol itself, and the inline form."""
    count = 50_000
    commands = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\nkey:%d\r\n$5\r\nvalue\r\n" % (len(str(number)) + 4, number)
                        for number in range(count))
    inline = b"".join(b"SET inline:%d value\r\n" % number for number in range(count))
    assert cli("--pipe", stdin=commands + inline).endswith(f"errors: 0, replies: {2 * count}")
    assert client.dbsize() == 2 * count
    assert client.get(f"key:{count - 1}") == "value"
    assert "errors: 1, replies: 2" in cli("--pipe", stdin=b"SET a b\r\nLPUSH a b\r\n", status=1)


def test_latency(cli):
    minimum, maximum, average, samples = cli("--latency", "-i", "0.2").split()
    assert 0 <= float(minimum) <= float(average) <= float(maximum) and int(samples) > 0
    assert len(cli("--latency", "--csv", "-i", "0.2").split(",")) == 4


# Modes that go on until they are ended

def streaming(server, *arguments: str) -> Background:
    return Background(["redis-cli", "-p", str(server.port), *arguments])


def test_monitor(server, client):
    with streaming(server, "monitor") as monitor:
        wait_for(lambda: monitor.read().startswith("OK"), "redis-cli monitors")
        client.set("key", 'va"lue')
        line = wait_for(lambda: re.search(r'\n(\d+\.\d{6}) \[0 127\.0\.0\.1:\d+\] "SET" "key" "va\\"lue"\n',
                                          monitor.read()), "the command is shown")
        assert float(line[1]) > 1.6e9


@pytest.mark.parametrize("protocol", ["-2", "-3"])
def test_subscribe(server, client, protocol):
    with streaming(server, protocol, "subscribe", "news", "weather") as channels, \
            streaming(server, protocol, "psubscribe", "n?ws") as patterns:
        wait_for(lambda: client.pubsub_numsub("weather")[0][1] == 1 and client.pubsub_numpat() == 1, "both subscribe")
        assert client.publish("news", "hello") == 2
        wait_for(lambda: "message\nnews\nhello" in channels.read(), "the subscriber hears")
        wait_for(lambda: "pmessage\nn?ws\nnews\nhello" in patterns.read(), "the pattern's subscriber hears")
        assert channels.read().startswith("subscribe\nnews\n1\nsubscribe\nweather\n2\n")


def test_stat(server, client):
    client.set("key", 1)
    with Terminal(["redis-cli", "-p", str(server.port), "--stat", "-i", "0.05"]) as terminal:
        terminal.expect(r"keys\s+mem\s+clients\s+blocked\s+requests\s+connections")
        for _ in range(3):
            terminal.expect(r"\n1\s+\d+\.\d+[KM]\s+\d+\s+0\s+\d+ \(\+\d+\)\s+\d+")


def test_latency_history(server, client):
    with Terminal(["redis-cli", "-p", str(server.port), "--latency-history", "-i", "0.3"]) as terminal:
        for _ in range(2):
            terminal.expect(r"min: \d+, max: \d+, avg: \d+\.\d+ \([1-9]\d* samples\) -- \d\.\d+ seconds range")


# A person at the terminal

@pytest.fixture
def shell(server, client, tmp_path):
    environment = {"HOME": str(tmp_path), "REDISCLI_HISTFILE": str(tmp_path / "history")}
    with Terminal(["redis-cli", "-p", str(server.port)], env=environment) as terminal:
        terminal.expect(r"127\.0\.0\.1:\d+> ")
        yield terminal


def enter(shell: Terminal, line: str, reply: str) -> None:
    shell.type(line + "\r")
    shell.expect(r"\n" + reply)
    shell.expect(r"127\.0\.0\.1:\d+\S*> ")


def test_interactive_commands(shell):
    enter(shell, "set key 'two words'", "OK")
    enter(shell, "get key", '"two words"')
    enter(shell, "lpush list a b", r"\(integer\) 2")
    enter(shell, "nonsense", r"\(error\) ERR unknown command 'nonsense', with args beginning with:")
    enter(shell, "2 incr count", r"\(integer\) 1\s+\(integer\) 2")


def test_interactive_select_and_transaction(shell):
    shell.type("select 2\r")
    shell.expect(r"OK\s+127\.0\.0\.1:\d+\[2\]> ")
    shell.type("multi\r")
    shell.expect(r"OK\s+127\.0\.0\.1:\d+\[2\]\(TX\)> ")
    enter(shell, "set key 1", "QUEUED")
    enter(shell, "incr key", "QUEUED")
    shell.type("exec\r")
    shell.expect(r"1\) OK\s+2\) \(integer\) 2\s+127\.0\.0\.1:\d+\[2\]> ")
    shell.type("select 0\r")
    shell.expect(r"OK\s+127\.0\.0\.1:\d+> ")


def test_interactive_hello(shell):
    enter(shell, "hello 3", r'1# "server" => ')
    enter(shell, "hset hash field value", r"\(integer\) 1")
    enter(shell, "hgetall hash", r'1# "field" => "value"')


def test_interactive_hints_come_from_the_server(shell):
    shell.type("lpop ")
    shell.expect(r"lpop key \[count\]")
    shell.type("list\r")
    shell.expect(r"\n\(nil\)")


def test_interactive_help_comes_from_the_server(shell, cli):
    for name, syntax in [("rpush", r"RPUSH key element \[element \.\.\.\]"), ("client kill", "CLIENT KILL")]:
        entry = name.replace(" ", "|")
        documentation = json.loads(cli("--json", "command", "docs", entry))[entry]
        shell.type(f"help {name}\r")
        shell.expect(syntax)
        shell.expect(r"summary: " + re.escape(documentation["summary"]))
        shell.expect(r"since: " + re.escape(documentation["since"]))
        shell.expect(r"group: " + re.escape(documentation["group"]))
    shell.type("help @list\r")
    for command in ("BLPOP", "LINDEX", "RPUSHX"):
        shell.expect(command)


def test_interactive_completion(shell):
    shell.type("zincr\t")
    shell.expect("ZINCRBY")
    shell.type(" scores 2 member\r")
    shell.expect('\n"2"')


def test_interactive_subscription(shell, client):
    shell.type("subscribe news\r")
    shell.expect(r"Reading messages")
    shell.expect(r'1\) "subscribe"\s+2\) "news"\s+3\) \(integer\) 1')
    client.publish("news", "hello")
    shell.expect(r'1\) "message"\s+2\) "news"\s+3\) "hello"')
