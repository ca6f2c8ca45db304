"""Integer overflow in every count and offset: each integer argument of each command gets the numbers at the edges of all types.

The commands and their arguments are those of COMMAND DOCS, so that a new one is tried without a word here. Quartet must answer, and, where
both servers do the same on purpose, as redis-server does.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Iterator

import pytest

from support.raw import Error, RawClient, encode
from support.server import Server, redis

EDGES = ["0", "-0", "-1", "2147483647", "-2147483648", "2147483648", "4294967295", "4294967296", "9223372036854775807",
         "-9223372036854775808", "9223372036854775808", "18446744073709551615", "18446744073709551616"]

# What these do is not to be done here, or is not answered by one reply: they end or stop the server or the connection, or change
# how it replies; those of the last line are tried by tests of their own.
LEFT_OUT = {"shutdown", "debug", "monitor", "quit", "reset", "client|reply", "client|pause", "client|kill", "subscribe", "unsubscribe", "psubscribe",
            "punsubscribe", "ssubscribe", "sunsubscribe", "multi", "exec", "discard", "watch", "unwatch", "auth", "hello", "flushall",
            "config|set", "config|rewrite", "bgsave", "bgrewriteaof", "save", "swapdb"}

# Replies that differ by their nature, or on purpose (docs/DIFFERENCES.md): only errors are compared.
ERRORS_ONLY = {"info", "time", "lastsave", "role", "lolwut", "randomkey", "spop", "srandmember", "hrandfield", "zrandmember", "dump", "command",
               "object", "memory", "slowlog", "latency", "client", "config", "scan", "sscan", "hscan", "zscan", "script", "module", "pubsub"}
# Quartet's own.
OURS = {"db"}
# redis-server repeats elements as often as it is told.
REPEATING = {"srandmember", "hrandfield", "zrandmember"}

KEYS = {"string": "text", "bitmap": "text", "list": "list", "set": "set", "hash": "hash", "sorted-set": "zset", "generic": "list", "scripting": "text"}
SETUP = [("FLUSHALL",), ("SET", "text", "10"), ("RPUSH", "list", "3", "1", "2"), ("SADD", "set", "1", "2", "3"), ("HSET", "hash", "f", "1", "g", "2"),
         ("ZADD", "zset", "1", "a", "2", "b", "3", "c")]
# Where a word alone is not enough to get past the first look at the arguments.
WORDS = {"encoding": "i8", "script": "return 1", "pivot": "1", "element": "1", "field": "f", "member": "a", "min": "0", "max": "3", "start": "0", "stop": "3",
         "serialized-value": "x", "db": "0"}


@dataclass
class Argument:
    name: str
    type: str
    optional: bool
    multiple: bool
    token: str
    arguments: list["Argument"] = field(default_factory=list)


def pairs(reply: list) -> dict[str, object]:
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2])}


def argument(reply: list) -> Argument:
    fields = pairs(reply)
    flags = [flag.decode() if isinstance(flag, bytes) else flag for flag in fields.get("flags", [])]
    return Argument(fields["name"].decode(), fields["type"].decode(), "optional" in flags, "multiple" in flags,
                    fields.get("token", b"").decode(), [argument(one) for one in fields.get("arguments", [])])


class Number(str):
    """A word in the place of an integer."""


def forms(arguments: list[Argument], key: str) -> Iterator[list[str]]:
    """Ways to write the arguments: with none of what is optional, with all of it, and each optional one and each alternative once."""
    shortest = [list(one_form(each, key)) for each in arguments]
    yield [word for words, each in zip(shortest, arguments) if not each.optional for word in words[0]]
    yield [word for words in shortest for word in words[0]]
    for i, each in enumerate(arguments):
        for words in shortest[i] if each.optional else shortest[i][1:]:
            yield [word for j, other in enumerate(arguments)
                   for word in (words if i == j else [] if other.optional else shortest[j][0])]


def one_form(each: Argument, key: str) -> Iterator[list[str]]:
    token = [each.token] if each.token else []
    if each.type == "pure-token":
        yield token
    elif each.type == "oneof":
        for choice in each.arguments:
            for words in one_form(choice, key):
                yield token + words
    elif each.type == "block":
        for words in forms(each.arguments, key):
            yield token + words
    elif each.type in ("integer", "unix-time", "double"):
        yield token + [Number(1)]
    elif each.type == "key":
        yield token + [key]
    elif each.type == "pattern":
        yield token + ["*"]
    else:
        yield token + [WORDS.get(each.name, "1")]


def requests(client: RawClient) -> Iterator[tuple[str, list[str], set[str]]]:
    """Every command, words for it, and its flags."""
    infos = {}

    def note(info: list) -> None:
        infos[info[0].decode()] = {flag.decode() if isinstance(flag, bytes) else flag for flag in info[2]}
        for sub in info[9]:
            note(sub)

    for info in client.call("COMMAND"):
        note(info)

    def visit(name: str, docs: dict[str, object]) -> Iterator[tuple[str, list[str], set[str]]]:
        if name in LEFT_OUT:
            return
        if "subcommands" in docs:
            for sub, its in pairs(docs["subcommands"]).items():
                yield from visit(sub, pairs(its))
            return
        group = docs["group"].decode()
        arguments = [argument(one) for one in docs.get("arguments", [])]
        for words in forms(arguments, KEYS.get(group, "list")):
            if "lex" in name:
                words = [{"0": "-", "3": "+"}.get(word, word) for word in words]
            yield name, name.split("|") + words, infos.get(name, set())

    for name, docs in pairs(client.call("COMMAND", "DOCS")).items():
        yield from visit(name, pairs(docs))


def edge_cases(words: list[str]) -> Iterator[list[str]]:
    """The words with their numbers at the edges: one at a time, and all pairs of two."""
    places = [i for i, word in enumerate(words) if isinstance(word, Number)]
    for chosen in [*itertools.combinations(places, 1), *itertools.combinations(places[:3], 2)]:
        for edges in itertools.product(EDGES, repeat=len(chosen)):
            case = list(words)
            for place, edge in zip(chosen, edges):
                case[place] = edge
            yield case


class Player:
    """Sends cases to one server, each on the same data, and reads their replies."""

    def __init__(self, server: Server):
        self.client = RawClient(server.port, timeout=60)

    def play(self, cases: list[tuple[list[str], bool]]) -> list[object]:
        """`cases` says of each whether it has to run in a transaction, where nothing blocks."""
        setup = b"".join(encode(*command) for command in SETUP)
        data = b"".join(setup + (encode("MULTI") + encode(*words) + encode("EXEC") if wrapped else encode(*words)) + encode("SELECT", 0)
                        for words, wrapped in cases)
        self.client.send_raw(data)
        replies = []
        for _, wrapped in cases:
            for _ in SETUP:
                self.client.read()
            if wrapped:
                self.client.read()
                self.client.read()
            replies.append(self.client.read())
            self.client.read()
        return replies


@pytest.fixture(scope="module")
def players():
    # Strings of at most a megabyte, so that the largest offset that is allowed costs nothing.
    with Server("--proto-max-bulk-len", "1mb") as quartet, redis("--proto-max-bulk-len", "1mb") as reference:
        yield Player(quartet), Player(reference)


def is_comparable(name: str, words: list[str]) -> bool:
    if name in REPEATING:
        return not any(word.startswith("-") and len(word) > 3 for word in words)
    return name.split("|")[0] not in OURS


def essence(name: str, reply: object) -> object:
    """What of a reply has to be the same."""
    if isinstance(reply, Error):
        return reply
    if name.split("|")[0] in ERRORS_ONLY:
        return "no error"
    return sorted(reply) if name in ("smembers", "sunion", "sinter", "sdiff", "keys") else reply


def test_integer_overflow_in_every_count_and_offset(players):
    quartet, reference = players
    cases, seen = [], set()
    for name, words, flags in list(requests(quartet.client)):
        for case in edge_cases(words):
            if tuple(case) not in seen:
                seen.add(tuple(case))
                cases.append((name, case, "blocking" in flags or name == "wait"))
    assert len(cases) > 5000 and len({name for name, _, _ in cases}) > 60
    differences = []
    for begin in range(0, len(cases), 200):
        piece = cases[begin:begin + 200]
        ours = quartet.play([(words, wrapped) for _, words, wrapped in piece])
        both = [i for i, (name, words, _) in enumerate(piece) if is_comparable(name, words)]
        theirs = reference.play([(piece[i][1], piece[i][2]) for i in both])
        for i, reply in zip(both, theirs):
            name, words, _ = piece[i]
            if essence(name, ours[i]) != essence(name, reply):
                differences.append(f"{' '.join(words)}: {ours[i]!r}, and redis-server: {reply!r}")
    assert not differences, "\n".join(differences[:50])
    assert quartet.client.call("PING") == b"PONG"
