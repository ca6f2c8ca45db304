"""What COMMAND says of every command, and requests that are made from it."""

from __future__ import annotations

import dataclasses

from support.raw import Error, RawClient

# Requests of those whose arguments have to make sense before a key is looked for.
REQUESTS = {
    "eval": ["EVAL", "return 1", "1", "key1"],
    "eval_ro": ["EVAL_RO", "return 1", "1", "key1"],
    "evalsha": ["EVALSHA", "0" * 40, "1", "key1"],
    "evalsha_ro": ["EVALSHA_RO", "0" * 40, "1", "key1"],
    "georadius": ["GEORADIUS", "key1", "1", "1", "1", "m", "STORE", "key2"],
    "georadiusbymember": ["GEORADIUSBYMEMBER", "key1", "1", "1", "m", "STORE", "key2"],
    "migrate": ["MIGRATE", "127.0.0.1", "1", "key1", "0", "1"],
    "sort": ["SORT", "key1", "BY", "nosort", "STORE", "key2"],
    "xread": ["XREAD", "STREAMS", "key1", "0"],
    "xreadgroup": ["XREADGROUP", "GROUP", "a", "b", "STREAMS", "key1", "0"],
}


def pairs(flat: list) -> dict[str, object]:
    """A map, as RESP2 tells it."""
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


@dataclasses.dataclass
class Command:
    """A command that can be called: one without subcommands, or a subcommand."""

    name: str  # "get", "config|set"
    arity: int
    flags: set[str]
    categories: set[str]
    specs: list[dict[str, object]]
    request: list[str] = dataclasses.field(default_factory=list)
    keys: list[tuple[str, set[str]]] = dataclasses.field(default_factory=list)  # of the request, with what is done to them

    def __str__(self) -> str:
        return self.name


def _commands(entries: list) -> list[Command]:
    found = []
    for name, arity, flags, _first, _last, _step, categories, _tips, specs, subcommands in entries:
        if subcommands:
            found += _commands(subcommands)
        else:
            found.append(Command(name.decode(), arity, {flag.decode() for flag in flags},
                                 {category.decode().lstrip("@") for category in categories}, [pairs(spec) for spec in specs]))
    return found


def _request(command: Command) -> list[str]:
    """A request of the least arity with `key1`, `key2`, ... where the key specifications want keys."""
    if command.name in REQUESTS:
        return REQUESTS[command.name]
    words = command.name.upper().split("|")
    words += ["1"] * (abs(command.arity) - len(words))
    keys = 0
    for spec in command.specs:
        begin, find = pairs(spec["begin_search"]), pairs(spec["find_keys"])
        if begin["type"] != b"index" or find["type"] == b"unknown" or b"not_key" in spec["flags"]:
            continue
        first, ways = pairs(begin["spec"])["index"], pairs(find["spec"])
        if find["type"] == b"keynum":
            first += ways["firstkey"]
            last, step = first, 1
        else:
            last, step = first + ways["lastkey"] if ways["lastkey"] >= 0 else len(words) + ways["lastkey"], ways["keystep"]
        words += ["1"] * (max(first, last) + 1 - len(words))
        for position in range(first, max(first, last) + 1, step):
            keys += 1
            words[position] = f"key{keys}"
    return words


def all_commands(client: RawClient) -> list[Command]:
    """Every command of the table, with a request whose keys COMMAND GETKEYSANDFLAGS has found."""
    commands = _commands(client.call("COMMAND"))
    for command in commands:
        command.request = _request(command)
        found = client.call("COMMAND", "GETKEYSANDFLAGS", *command.request)
        if isinstance(found, Error):
            has_keys = [spec for spec in command.specs if b"not_key" not in spec["flags"]]
            assert not has_keys, f"{command}: {command.request}: {found}"
            continue
        command.keys = [(key.decode(), {flag.decode() for flag in flags}) for key, flags in found]
        assert command.keys, command
    return commands
