"""The same requests to Quartet and to memcached 1.6: every command, every flag, and random rows of them, replies compared byte by byte.

Where Quartet differs on purpose, docs/MEMCACHED.md says so; such requests are not sent here.
"""

from __future__ import annotations

import random
import re

import pytest

from support.memcached import TextClient

LONG = b"k" * 250


def normal(reply: bytes) -> bytes:
    """Without what depends on the moment or on how values lie in memory."""
    reply = re.sub(rb"( size=| la=| l)\d+", rb"\1?", reply)
    reply = re.sub(rb" cls=\d+", b" cls=?", reply)
    return re.sub(rb"(?m)^VERSION .*$", b"VERSION ?\r", reply)


TIMES = re.compile(rb"(?<= t)\d+|(?<= exp=-)\d+")


def same(ours: bytes, theirs: bytes) -> bool:
    """memcached's clock goes by whole seconds, so that times may differ by one."""
    times = [list(map(int, TIMES.findall(reply))) for reply in (ours, theirs)]
    return TIMES.sub(b"?", ours) == TIMES.sub(b"?", theirs) and all(abs(a - b) <= 1 for a, b in zip(*times))


class Pair:
    """One client of each server. Unique numbers differ between them: what each has said last of a key is sent in the place of
    `{cas}`, and numbers are compared by the order in which they were first seen."""

    def __init__(self, ours: int, theirs: int):
        self.sides = [TextClient(ours), TextClient(theirs)]
        self.seen: list[dict[bytes, int]] = [{}, {}]
        self.last: list[dict[bytes, bytes]] = [{}, {}]

    def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """The replies. Where numbers of several keys may come, the request is one that names them in its reply."""
        key = (request.split() + [b"", b""])[1]
        replies = [side.ask(request.replace(b"{cas}", last.get(key, b"1"))) for side, last in zip(self.sides, self.last)]
        return self.compared(0, key, replies[0]), self.compared(1, key, replies[1])

    def compared(self, side: int, key: bytes, reply: bytes) -> bytes:
        def renumber(match: re.Match[bytes]) -> bytes:
            number = match["number"]
            if number != b"0":
                self.last[side][match.groupdict().get("key") or key] = number
                number = b"#%d" % self.seen[side].setdefault(number, len(self.seen[side]))
            return match["before"] + number

        reply = re.sub(rb"(?P<before>(?:^|\n)VALUE (?P<key>\S+) \d+ \d+ )(?P<number>\d+)", renumber, reply)
        reply = re.sub(rb"(?P<before>(?:^|\n)(?:VA \d+|HD|EX|NS|NF)\b[^\r]* c)(?P<number>\d+)", renumber, reply)
        return normal(re.sub(rb"(?P<before> cas=)(?P<number>\d+)", renumber, reply))

    def check(self, *requests: bytes) -> None:
        assert self.ask(b"flush_all\r\n") == (b"OK\r\n", b"OK\r\n")
        for at, request in enumerate(requests):
            ours, theirs = self.ask(request)
            assert same(ours, theirs), f"{ours!r} and not {theirs!r} to {request!r} behind {requests[:at]!r}"

    def close(self) -> None:
        for side in self.sides:
            side.close()


@pytest.fixture
def pair(server, reference):
    made = Pair(server.memcached_port, reference.port)
    yield made
    made.close()


SET = b"set k 5 0 2\r\nhi\r\n"
TEN = b"set k 5 100 2\r\n10\r\n"

# Rows of requests, each on empty servers. A request may hold several commands.
ROWS: dict[str, list[bytes]] = {
    "set and get": [SET, b"get k\r\n", b"gets k\r\n", b"get k k\r\n", b"get k z k\r\n", b"gets z k z\r\n", b"get z\r\n"],
    "empty values": [b"set k 0 0 0\r\n\r\n", b"get k\r\n", b"append k 0 0 0\r\n\r\n", b"get k\r\n", b"incr k 1\r\n"],
    "words": [b"get\r\n", b"gets\r\n", b"get \r\n", b"\r\n", b"  \r\n", b" get k\r\n", b"GET k\r\n", b"get  k  z \r\n", b"get\tk\r\n",
              b"foo\r\n", b"foo bar baz\r\n", b"x" * 3000 + b"\r\n", b"error\r\n", b"too_large k\r\n", b"mg|get k\r\n"],
    "storage commands": [b"add k 1 0 1\r\na\r\n", b"add k 2 0 1\r\nb\r\n", b"get k\r\n", b"replace k 3 0 1\r\nc\r\n", b"get k\r\n",
                         b"replace z 0 0 1\r\na\r\n", b"append k 9 9 2\r\nde\r\n", b"prepend k 9 9 2\r\nab\r\n", b"get k\r\n",
                         b"append z 0 0 1\r\na\r\n", b"prepend z 0 0 1\r\na\r\n", b"get z\r\n"],
    "words of storage commands": [b"set\r\n", b"set k\r\n", b"set k 0 0\r\n", b"set k 0 0\r\nhi\r\n", b"set k 0 0 2 x\r\nhi\r\n",
                                  b"set k 0 0 2 x y\r\nhi\r\n", b"set k 0 0 2 noreply x\r\nhi\r\n", b"get k\r\n", b"set  k  0  0  1 \r\na\r\nget k\r\n",
                                  b"cas k 0 0 1\r\na\r\n", b"cas k 0 0 1 x\r\na\r\n", b"cas k 0 0 1 -1\r\na\r\n", b"cas k 0 0 1 1 2 3\r\na\r\n"],
    "flags": [b"set k %s 0 1\r\na\r\nget k\r\n" % flags for flags in (b"0", b"1", b"65535", b"65536", b"4294967295", b"4294967296", b"-1", b"1.5",
                                                                     b"+1", b"0x1", b"01", b"-0", b"abc", b"18446744073709551615", b"18446744073709551616")],
    "exptimes": [b"set k 0 %s 1\r\na\r\nmg k t v\r\n" % exptime for exptime in (b"0", b"1", b"100", b"2592000", b"2592001", b"-1", b"-2147483648", b"2000000000",
                                                                          b"+5", b"05", b"1.5", b"x", b"99999999999999999999")],
    # What libmemcached makes of a negative number.
    "exptimes without their sign": [request for exptime in (b"2147483648", b"4294967295", b"3000000000") for request in (
        b"set k 0 %s 1\r\na\r\nget k\r\n" % exptime, SET, b"touch k %s\r\n" % exptime, b"get k\r\n", SET, b"gat %s k\r\n" % exptime, b"get k\r\n",
        SET, b"gats %s z k\r\n" % exptime, b"get k\r\n", b"ms k 2 T%s\r\nhi\r\n" % exptime, b"get k\r\n", SET, b"ms k 2 MR T%s\r\nhi\r\n" % exptime, b"get k\r\n",
        SET, b"mg k T%s v\r\n" % exptime, b"get k\r\n", TEN, b"ma k T%s v\r\n" % exptime, b"get k\r\n", b"ma z N%s v\r\n" % exptime, b"get z\r\n",
        b"mg z N%s v\r\n" % exptime, b"get z\r\n", SET, b"md k I T%s\r\n" % exptime, b"get k\r\n", b"add k 0 %s 1\r\na\r\n" % exptime, b"get k\r\n",
        SET, b"replace k 0 %s 1\r\na\r\n" % exptime, b"get k\r\n", SET, b"gets k\r\n", b"cas k 0 %s 1 {cas}\r\na\r\n" % exptime, b"get k\r\n",
        SET, b"flush_all %s\r\n" % exptime, b"get k\r\n")],
    "lengths": [b"set k 0 0 %s\r\nhi\r\n" % length for length in (b"2", b"+2", b"02", b"-1", b"x", b"2x", b"2147483646", b"2147483647", b"2147483648", b"1")],
    "data of another length": [SET, b"set k 0 0 2\r\nhiya\r\n", b"get k\r\n", b"set k 0 0 5\r\nhel\r\nget k\r\nget k\r\n", b"set k 0 0 2\r\nhi\nget k\r\n",
                               b"set k 0 0 2\nhi\r\nget k\n", b"set k 0 0 2\r\nhiXYget k\r\n", b"set k 0 0 0\r\nab\r\n", b"get k\r\n"],
    "values with line ends": [b"set k 0 0 12\r\n\r\nget k\r\n\x00\xff\r\r\n", b"get k\r\n", b"append k 0 0 2\r\n\r\n\r\n", b"get k\r\n"],
    "noreply": [b"set k 0 0 2 noreply\r\n10\r\n", b"get k\r\n", b"add k 0 0 1 noreply\r\na\r\n", b"replace k 1 0 2 noreply\r\n10\r\n", b"append k 0 0 1 noreply\r\n1\r\n",
                b"prepend k 0 0 1 noreply\r\n1\r\n", b"cas k 0 0 1 1 noreply\r\na\r\n", b"get k\r\n", b"incr k 1 noreply\r\n", b"decr k 2 noreply\r\n", b"get k\r\n",
                b"touch k 50 noreply\r\n", b"mg k t\r\n", b"delete k noreply\r\n", b"get k\r\n", b"incr k x noreply\r\n", b"touch k x noreply\r\n",
                b"verbosity 1 noreply\r\n", b"verbosity noreply\r\n", b"flush_all noreply\r\n", b"flush_all 0 noreply\r\n", b"flush_all x noreply\r\n",
                b"set k x 0 1 noreply\r\n", b"set k 0 0 -1 noreply\r\n", b"cas k 0 0 1 x noreply\r\n", b"set k 0 0 1 noreply\r\nabc\r\n", b"delete k 5 noreply\r\n",
                b"delete " + LONG + b"k noreply\r\n", b"set noreply\r\n", b"foo noreply\r\n", b"get noreply\r\n", b"gat 0 noreply\r\n",
                b"set k 0 0 1048577 noreply\r\n" + b"x" * 1048577 + b"\r\n"],
    "keys": [b"set " + LONG + b" 0 0 2\r\nhi\r\n", b"get " + LONG + b"\r\n", b"set " + LONG + b"k 0 0 2\r\nhi\r\n", b"get " + LONG + b"k\r\n", b"get k " + LONG + b"k k\r\n",
             b"gat 1 " + LONG + b"k\r\n", b"delete " + LONG + b"k\r\n", b"incr " + LONG + b"k 1\r\n", b"touch " + LONG + b"k 1\r\n", b"mg " + LONG + b"k v\r\n",
             b"ms " + LONG + b"k 2\r\nhi\r\n", b"md " + LONG + b"k\r\n", b"ma " + LONG + b"k\r\n", b"me " + LONG + b"k\r\n", b"mg " + LONG + b" k v\r\n",
             b"set k\x01\xff\t 0 0 1\r\na\r\n", b"get k\x01\xff\t\r\n", b"get k\rx\r\n", b"delete x" + b"x" * 1500 + b"\r\n"],
    "many keys": [b"set key%d 0 0 1\r\na\r\n" % 5, b"get " + b" ".join(b"key%d" % i for i in range(3000)) + b"\r\n",
                  b"gets " + b"key5 " * 300 + b"\r\n"],
    "cas": [b"cas k 0 0 1 5\r\na\r\n", SET, b"gets k\r\n", b"cas k 7 0 2 {cas}\r\nho\r\n", b"gets k\r\n", b"cas k 0 0 2 1\r\nhu\r\n", b"get k\r\n", b"gets k\r\n",
            b"set k 0 0 1\r\na\r\n", b"cas k 0 0 1 {cas}\r\nb\r\n", b"gets k\r\n", b"append k 0 0 0\r\n\r\n", b"cas k 0 0 1 {cas}\r\nb\r\n", b"gets k\r\n",
            b"touch k 50\r\n", b"cas k 0 0 1 {cas}\r\nb\r\n", b"gats 40 k\r\n", b"cas k 0 0 1 {cas}\r\nb\r\n", b"cas k 0 0 1 0\r\na\r\n", b"cas k 0 0 1 +5\r\na\r\n",
            b"cas k 0 0 1 18446744073709551615\r\na\r\n", b"cas k 0 0 1 18446744073709551616\r\na\r\n", b"gets k k\r\n", b"cas k 0 -1 1 {cas}\r\na\r\n", b"gets k\r\n"],
    "delete": [b"delete k\r\n", SET, b"delete k\r\n", b"delete k 0\r\n", b"delete k 1\r\n", b"delete k 0 noreply\r\n", b"delete k x\r\n", b"delete k 0 x\r\n", b"delete k x 0\r\n",
               b"delete k noreply 0\r\n", b"delete k 0 0\r\n", b"delete k 0 0 0\r\n", b"delete\r\n", b"delete  k  0 \r\n"],
    "incr and decr": [TEN, b"incr k 1\r\n", b"decr k 2\r\n", b"get k\r\n", b"decr k 100\r\n", b"get k\r\n", b"incr k 18446744073709551615\r\n", b"get k\r\n", b"incr k 1\r\n",
                      b"get k\r\n", b"incr k -1\r\n", b"incr k x\r\n", b"incr k\r\n", b"incr\r\n", b"incr z 1\r\n", b"decr z 1\r\n", b"incr k 18446744073709551616\r\n",
                      b"incr k 1.5\r\n", b"incr k 01\r\n", b"incr k +1\r\n", b"incr k 0x10\r\n", b"incr k 1 x\r\n", b"incr k 1 2 3\r\n", b"incr k 0\r\n", b"get k\r\n", b"incr k 1\t\r\n"],
    "numbers that are filled up": [b"set k 7 0 3\r\n100\r\n", b"decr k 1\r\n", b"get k\r\n", b"incr k 1\r\n", b"get k\r\n", b"decr k 95\r\n", b"mg k s v f t\r\n", b"append k 0 0 1\r\n5\r\n",
                                   b"incr k 1\r\n", b"get k\r\n", b"ma k MD v\r\n", b"mg k v s\r\n", b"ma k D99999 v\r\n", b"mg k v s f\r\n"],
    "what is a number": [request for value in (b" 12", b"12 ", b"-005", b"007", b"+12", b"1a2", b"1 2", b"a", b"18446744073709551615", b"184467440737095516150", b"\t12\n ", b"12\x00",
                                               b"12\x00x", b"-0", b"-1", b"00000000000000000000000000005", b"")
                         for request in (b"set k 0 0 %d\r\n%b\r\n" % (len(value), value), b"incr k 1\r\n", b"get k\r\n")],
    "touch and gat": [b"touch k 10\r\n", SET, b"touch k 10\r\n", b"mg k t\r\n", b"touch k 0\r\n", b"mg k t\r\n", b"touch k x\r\n", b"touch k 1.5\r\n", b"touch k\r\n", b"touch\r\n",
                      b"touch k +20\r\n", b"mg k t\r\n", b"touch k 1 x\r\n", b"touch k 1 x y\r\n", b"gat 10 k\r\n", b"mg k t\r\n", b"gats 20 k z k\r\n", b"mg k t\r\n", b"gat 0 k\r\n",
                      b"mg k t\r\n", b"gat\r\n", b"gats\r\n", b"gat 10\r\n", b"gats 5\r\n", b"gat x k\r\n", b"gat k\r\n", b"gat x\r\n", b"gat -1 k\r\n", b"get k\r\n", SET, b"touch k -1\r\n", b"get k\r\n"],
    "flush_all": [SET, b"flush_all\r\n", b"get k\r\n", b"flush_all 0\r\n", b"flush_all x\r\n", b"flush_all 1.5\r\n", b"flush_all 0 x\r\n", b"flush_all x y\r\n", b"flush_all 0 x y\r\n",
                  b"flush_all noreply 0\r\n", b"flush_all  \r\n", SET, b"flush_all -1\r\n", b"get k\r\n", SET, b"flush_all 100\r\n", b"get k\r\n", b"flush_all 2592001\r\n", b"get k\r\n", b"flush_all\r\n"],
    "other commands": [b"version\r\n", b"version x\r\n", b"verbosity\r\n", b"verbosity 1\r\n", b"verbosity x\r\n", b"verbosity 1 2\r\n", b"verbosity 1 2 3\r\n", b"verbosity -1\r\n",
                       b"shutdown\r\n", b"shutdown graceful\r\n", b"misbehave\r\n", b"stats foo\r\n", b"stats reset\r\n", b"stats sizes\r\n", b"stats noreply\r\n"],
    "quit": [b"quit\r\n"],
    "too large": [SET, b"add k 0 0 1048577\r\n" + b"x" * 1048577 + b"\r\n", b"get k\r\n", b"append k 0 0 1048577\r\n" + b"x" * 1048577 + b"\r\n", b"get k\r\n",
                  b"replace k 0 0 1048577\r\n" + b"x" * 1048577 + b"\r\n", b"get k\r\n", b"cas k 0 0 1048577 1\r\n" + b"x" * 1048577 + b"\r\n", b"get k\r\n",
                  b"set k 0 0 1048577\r\n" + b"x" * 1048577 + b"\r\n", b"get k\r\n", SET, b"ms k 1048577 ME\r\n" + b"x" * 1048577 + b"\r\n", b"get k\r\n",
                  b"set k 0 0 600000\r\n" + b"x" * 600000 + b"\r\n", b"append k 0 0 600000\r\n" + b"x" * 600000 + b"\r\n", b"mg k s\r\n"],

    "mg": [b"mg\r\n", b"mg k\r\n", b"mg k v\r\n", b"mg k q\r\n", b"mg k k O1\r\n", b"mg k k O1 q\r\n", SET, b"mg k\r\n", b"mg k v\r\n", b"mg k v f s t c h l k Oabc q\r\n", b"mg k k f t s c h l v\r\n",
           b"mg k O\r\n", b"mg k q\r\n", b"mg k q k\r\n", b"mg k vx kx\r\n", b"mg  k  v \r\n", b"mg k\tv\r\n"],
    "flags of meta commands": [command + flag + data for command, data in ((b"mg k ", b"\r\n"), (b"ms k 2 ", b"\r\n10\r\n"), (b"md k ", b"\r\n"), (b"ma k ", b"\r\n"), (b"ma z N0 ", b"\r\n"))
                               for flag in [bytes([letter]) + {79: b"1", 84: b"50", 78: b"50", 82: b"5", 70: b"5", 67: b"1", 68: b"5", 74: b"5", 77: b"S" if command[1] == 115 else b"I"}.get(letter, b"")
                                            for letter in range(33, 127) if letter != ord("b")]],
    "wrong flags": [command + flags + data for command, data in ((b"mg k ", b"\r\n"), (b"ms k 2 ", b"\r\nhi\r\n"), (b"md k ", b"\r\n"), (b"ma k ", b"\r\n"))
                    for flags in (b"v v", b"k v k", b"Tx", b"T", b"T5x", b"Nx", b"Rx", b"Fx", b"F", b"F-1", b"Cx", b"C", b"C-5", b"C18446744073709551616", b"M", b"Mab", b"Dx", b"Jx", b"D", b"Tx Z", b"Z Tx",
                                  b"Tx v v", b"v v Tx", b"P1 P2", b"L1 L2", b"O" + b"x" * 32, b"O" + b"x" * 31, b"k P1 L2")],
    "too many flags": [command + b" v" * count + b"\r\n" for command in (b"mg k", b"md k", b"ma k", b"me k") for count in (15, 16, 17, 18, 19, 40)],
    "ms": [b"ms\r\n", b"ms k\r\n", b"ms k x\r\n", b"ms k 2\r\nhi\r\n", b"ms k S2\r\nhi\r\n", b"ms 2 k\r\nhi\r\n", b"ms k 2 T30 F7 c k O9\r\nhi\r\n", b"mg k f t v\r\n", b"ms k -1\r\n", b"ms k 2 q\r\nhi\r\n",
           b"ms k 2 q k O1 c\r\nhi\r\n", b"ms k 2\r\nhiya\r\n", b"ms k 2 q\r\nhiya\r\n", b"mg k v\r\n", b"ms k 0\r\n\r\n", b"mg k v s\r\n", b"ms k 2 T-1\r\nhi\r\n", b"mg k v\r\n", b"ms k 2 T0\r\nhi\r\n",
           b"mg k t\r\n", b"ms k +2\r\nhi\r\n", b"ms k 02 F+5\r\nhi\r\n", b"mg k f\r\n", b"ms k 2147483647\r\n", b"ms k 2 F4294967296\r\nhi\r\n", b"mg k f\r\n", b"ms k 5 T10 hello\r\nhello\r\n", b"mg k v t\r\n",
           b"ms k 2" + b" v" * 17 + b"\r\nhi\r\n"],
    "modes of ms": [b"ms k 2 ME F1\r\nhi\r\n", b"ms k 2 ME\r\nho\r\n", b"ms k 2 MA F9\r\nho\r\n", b"mg k v f\r\n", b"ms k 2 MP T9\r\nzz\r\n", b"mg k v f t\r\n", b"ms k 2 MR\r\nab\r\n", b"mg k v f\r\n",
                    b"ms z 2 MR\r\nab\r\n", b"ms z 2 MA\r\nab\r\n", b"ms z 2 MP\r\nab\r\n", b"ms z 2 MS\r\nab\r\n", b"ms k 2 MX\r\nhi\r\n", b"ms k 2 Me\r\nhi\r\n", b"ms k 2 Ma\r\nhi\r\n", b"ms y 2 MA N30\r\nab\r\n",
                    b"ms y 2 MA q\r\nab\r\n", b"ms y 2 MR q\r\nab\r\n", b"ms z 2 ME q k O1\r\nab\r\n"],
    "numbers of ms": [b"ms k 2 c\r\nhi\r\n", b"ms k 2 C{cas} c\r\nho\r\n", b"ms k 2 C1 c k O1\r\nhu\r\n", b"mg k v c\r\n", b"ms k 2 C0\r\nhi\r\n", b"ms z 2 C1 c\r\nhi\r\n", b"ms z 2 C5 q\r\nhi\r\n", b"ms z 2 MR C1\r\nhi\r\n",
                      b"ms z 2 MA C1\r\nhi\r\n", b"ms z 2 MP C1\r\nhi\r\n", b"ms z 2 ME C1\r\nhi\r\n", b"ms k 2 ME C{cas} c\r\nyo\r\n", b"mg k c\r\n", b"ms k 2 MA C{cas} c\r\nyo\r\n", b"mg k c v\r\n",
                      b"ms k 2 MP C{cas} c\r\nyo\r\n", b"mg k c v\r\n", b"ms k 2 MR C{cas} c\r\nyo\r\n", b"mg k c v\r\n", b"ms k 2 MS C{cas} c\r\nyo\r\n", b"mg k c v\r\n", b"ms k 2 MA C1\r\nhi\r\n", b"ms k 2 MP C0\r\nhi\r\n",
                      b"ms k 2 MR C1\r\nhi\r\n", b"ms k 2 C+5\r\nhi\r\n", b"mg k v\r\n"],
    "invalidation by ms": [b"ms k 2\r\nhi\r\n", b"ms k 2 I C1\r\nho\r\n", b"mg k v c\r\n", b"mg k v\r\n", b"ms k 2 C1\r\nhx\r\n", b"ms k 2 I C1 c k\r\nhq\r\n", b"mg k v\r\n", b"ms k 2\r\nhi\r\n", b"mg k v\r\n",
                           b"ms zz 2 I C1\r\nhi\r\n", b"ms k 2 I C9223372036854775807\r\nhx\r\n", b"ms k 2 MA I C1\r\nyo\r\n", b"ms k 2 ME I C1\r\nyo\r\n", b"mg k v\r\n", b"ms k 2 MR I C1\r\nhi\r\n", b"mg k v\r\n",
                           b"ms k 2 I\r\nhi\r\n", b"mg k v\r\n", b"ms k 2 I C0\r\nhi\r\n", b"mg k v\r\n"],
    "md": [b"md\r\n", b"md k\r\n", b"md k q\r\n", SET, b"md k q\r\n", b"md k k O1\r\n", SET, b"md k k O1 q\r\n", b"mg k\r\n", SET, b"md k k Oab\r\n", b"md k C5\r\n", SET, b"md k C5 k O1\r\n", b"md k C5 q\r\n", b"md k C0\r\n",
           b"mg k c\r\n", b"md k C{cas}\r\n", b"mg k\r\n", SET, b"md k T30\r\n", b"mg k\r\n", b"md k v\r\n"],
    "invalidation by md": [b"ms k 2 T100 F9\r\nhi\r\n", b"mg k c v\r\n", b"md k I\r\n", b"mg k c t v f\r\n", b"mg k c t v\r\n", b"mg k s\r\n", b"get k\r\n", b"gets k\r\n", b"md k I T30\r\n", b"mg k t v\r\n", b"mg k t v\r\n",
                           b"md k I T30 k O1 c q t\r\n", b"md k I k O1\r\n", b"mg k t v\r\n", b"md z I\r\n", b"md z I q\r\n", b"md k I C1\r\n", b"mg k c\r\n", b"md k I C{cas}\r\n", b"mg k c\r\n", b"ms k 2\r\nho\r\n", b"mg k v\r\n",
                           b"md k I\r\n", b"touch k 10\r\n", b"gat 20 k\r\n", b"mg k\r\n", b"mg k\r\n", b"gat 5 k\r\n", b"mg k\r\n", b"add k 0 0 1\r\na\r\n", b"replace k 0 0 1\r\nb\r\n", b"mg k v\r\n"],
    "stale numbers": [TEN, b"md k I\r\n", b"incr k 1\r\n", b"mg k v\r\n", b"incr k 1\r\n", b"mg k v\r\n", b"md k I\r\n", b"mg k\r\n", b"incr k 99999\r\n", b"mg k v f t\r\n", b"md k I\r\n", b"append k 0 0 1\r\n1\r\n", b"mg k v f\r\n",
                      b"md k I\r\n", b"ma k v\r\n", b"mg k v\r\n"],
    "recaching": [b"ms k 2 T100\r\nhi\r\n", b"mg k R30 v t\r\n", b"mg k R200 v t\r\n", b"mg k R200 v t\r\n", b"mg k v t\r\n", b"mg k R30 v t\r\n", b"get k\r\n", b"mg k v\r\n", b"ms k 2 T100\r\nhi\r\n", b"mg k v\r\n", b"mg k R200\r\n",
                  b"touch k 50\r\n", b"mg k R20 t\r\n", b"mg k T300 R200 t\r\n", b"ms k 2 T100\r\nhi\r\n", b"mg k R200 T300 t\r\n", b"ms k 2 T100\r\nhi\r\n", b"mg k T300 R200 t\r\n", b"ms k 2 T100\r\nhi\r\n", b"mg k t R200 T50\r\n", b"mg k t\r\n",
                  b"ms k 2\r\nhi\r\n", b"mg k R51\r\n", b"ms k 2 T50\r\nhi\r\n", b"mg k R48\r\n", b"mg k R0\r\n", b"mg k R-1\r\n", b"mg k R52\r\n", b"mg k R2592000\r\n"],
    "vivification": [b"mg k N30 v t\r\n", b"mg k N30 v t\r\n", b"mg k v t f s c\r\n", b"get k\r\n", b"mg k\r\n", b"ms k 2 T10\r\nhi\r\n", b"mg k N30 v t\r\n", b"mg z N0 t\r\n", b"mg z t\r\n", b"mg y t N30\r\n", b"mg y t\r\n",
                     b"mg x N30 q v k O1\r\n", b"mg w N30 k O1 f s t c h l v\r\n", b"mg v N30 T50 t\r\n", b"mg v t\r\n", b"mg u T50 N30 t\r\n", b"mg u t\r\n", b"mg s R50 N30 t\r\n", b"mg s R50 t\r\n", b"append s 0 0 1\r\na\r\n",
                     b"mg s v t\r\n", b"mg r N30\r\n", b"ma r\r\n", b"add r 0 0 1\r\na\r\n", b"touch r 50\r\n", b"mg r t v\r\n", b"mg q N30 R40 v t\r\n", b"mg q N30 R40 v t\r\n", b"mg q N30 v t T100\r\n", b"md q I\r\n", b"mg q v\r\n",
                     b"mg q v\r\n", b"mg q R1000 v\r\n"],
    "touching by mg": [b"mg k T50 t\r\n", SET, b"mg k T50 t\r\n", b"mg k t\r\n", b"mg k t T60\r\n", b"mg k t\r\n", b"mg k T0 t\r\n", b"mg k T+5 t\r\n", b"mg k T 5\r\n", b"mg k T-1 v\r\n", b"mg k v\r\n"],
    "what is known of an item": [SET, b"mg k h l t\r\n", b"mg k h l t\r\n", SET, b"mg k u h v\r\n", b"mg k h\r\n", b"mg k h\r\n", b"set k 0 0 1\r\na\r\n", b"get k\r\n", b"mg k h\r\n", TEN, b"incr k 1\r\n", b"mg k h\r\n", TEN,
                                 b"touch k 10\r\n", b"mg k h\r\n", b"append k 0 0 1\r\n1\r\n", b"mg k u h\r\n", b"get k\r\n", b"incr k 1\r\n", b"mg k u h\r\n", b"incr k 99999\r\n", b"mg k u h\r\n", b"gat 10 k\r\n", b"mg k u h\r\n", TEN,
                                 b"ma k\r\n", b"mg k u h\r\n", b"mg k q\r\n", b"mg k u h\r\n", b"ms k 2 MA\r\nhi\r\n", b"mg k u h\r\n"],
    "me": [b"me\r\n", b"me k\r\n", b"ms k 2 T100 F3\r\nhi\r\n", b"me k\r\n", b"me k v\r\n", b"mg k\r\n", b"me k\r\n", b"me k k q\r\n", b"me z q\r\n", b"ms k 2\r\nhi\r\n", b"me k\r\n", b"me k foo bar\r\n"],
    "ma": [b"ma\r\n", b"ma k\r\n", b"ma k q\r\n", b"ma k k O1\r\n", b"ma k k O1 q\r\n", b"ma k N30\r\n", b"mg k v t\r\n", b"ma k\r\n", b"mg k v\r\n", b"ma k v\r\n", b"ma k v t c f k O1\r\n", b"ma k D5 v\r\n", b"ma k MD D3 v\r\n", b"ma k MI v\r\n",
           b"ma k M+ v\r\n", b"ma k M- v\r\n", b"ma k Md v\r\n", b"ma k Mi v\r\n", b"ma k MX v\r\n", b"ma k D0 v\r\n", b"ma k D05 v\r\n", b"ma k D+5 v\r\n", b"ma z J13 v\r\n", b"ma z N0 J13 v t\r\n", b"ma z v\r\n", b"ma y N0 J13 D90 MD v q\r\n",
           b"ma y q\r\n", b"ma y q v\r\n", b"ma y k O1 q\r\n", b"ma x N5 T8\r\n", b"mg x t\r\n", b"ma w T8 N5\r\n", b"mg w t\r\n", b"ma w t T9\r\n", b"ma w t\r\n", b"ma v t N5\r\n", b"mg v t\r\n", b"ma v N9 t\r\n", b"ma u N+5 J+7 v t\r\n"],
    "bounds of ma": [SET, b"ma k\r\n", b"ma k q\r\n", TEN, b"ma k C5\r\n", b"ma k C5 q k O1\r\n", b"mg k c\r\n", b"ma k C{cas} c v\r\n", b"ma k C0 v\r\n", b"ma k D18446744073709551615 v\r\n", b"ma k D18446744073709551616 v\r\n", b"ma k MD D99999 v\r\n",
                     b"mg k v s\r\n", b"ma q N0 J18446744073709551615 v\r\n", b"ma q v\r\n", b"mg q v\r\n", b"ma p N0 C5 v\r\n", b"ma p T-1 v\r\n", b"mg p\r\n", b"ma o J18446744073709551616 N0\r\n"],
    "binary keys": [b"ms Zm9v 2 b\r\nhi\r\n", b"mg foo v\r\n", b"mg Zm9v b v\r\n", b"mg Zm9v b k v O1\r\n", b"mg Zm9v v k b\r\n", b"mg Zg== b v k\r\n", b"ms AAECAw== 2 b T10 k O5\r\nhi\r\n", b"mg AAECAw== b k v t\r\n", b"md AAECAw== b k\r\n",
                    b"ma AAECAw== b N0 k v\r\n", b"ma AAECAw== b k v\r\n", b"ms ICA= 2 b\r\nhi\r\n", b"mg ICA= b v k\r\n", b"md ICA= b q\r\n", b"md ICA= b k q\r\n", b"me Zm9v b\r\n", b"me Zm9v\r\n"],
    "keys that are not base64": [command % key for key in (b"Zm9", b"!!!!", b"Zm9vYg", b"Z", b"Zm9-", b"Zm9vYg===") for command in (
        b"mg %s b v\r\n", b"ms %s 2 b\r\nhi\r\n", b"md %s b\r\n", b"ma %s b\r\n", b"me %s b\r\n", b"mg %s v b Tx\r\n", b"mg %s Tx b\r\n", b"mg %s b Z\r\n")],
    "pipelines": [b"".join(b"set key%d %d 0 5\r\nvalue\r\n" % (i, i) for i in range(200)), b"".join(b"get key%d\r\n" % i for i in range(200)), b"".join(b"mg key%d q v k\r\n" % i for i in range(0, 400, 3))],
}


@pytest.mark.parametrize("name", ROWS)
def test_row(pair, name):
    pair.check(*ROWS[name])


def test_mn(pair):
    for request in (b"mn\r\n", b"mn foo\r\n", b"mn q k O1\r\n"):
        for side in pair.sides:
            side.send(request)
            assert side.read(4) == b"MN\r\n"


# Random rows. Keys are few, so that commands meet; binary keys are others, because memcached remembers of an item which kind it has.
KEYS = [b"a", b"b", b"c", b"key:%b" % (b"x" * 30)]
BINARY = [b"AAEC", b"/w=="]
VALUES = [b"", b"1", b"9", b"10", b"99", b"100", b"hello", b"18446744073709551615", b"-1", b"12 ", b"x" * 1500, b"y" * 20000]
EXPTIMES = [b"0", b"0", b"100", b"2592000", b"2000000000", b"-1"]
DELTAS = [b"0", b"1", b"9", b"90", b"18446744073709551615"]


def random_flags(choose: random.Random, letters: str) -> bytes:
    tokens = {"T": EXPTIMES[:4], "N": EXPTIMES[:4], "R": [b"30", b"200", b"3000000"], "F": [b"0", b"7", b"4294967295"], "C": [b"1", b"{cas}", b"{cas}", b"0"], "M": [b"S", b"E", b"A", b"P", b"R"], "m": [b"I", b"D", b"+", b"-"],
              "D": DELTAS, "J": DELTAS, "O": [b"1", b"opaque"], "L": [b"x"], "P": [b"/y/"]}
    picked = choose.sample(letters, choose.randrange(min(len(letters), 7)))
    flags = [letter.upper().encode() + choose.choice(tokens[letter]) if letter in tokens else letter.encode() for letter in picked]
    return b"".join(b" " + flag for flag in flags)


def random_request(choose: random.Random) -> bytes:
    key, value = choose.choice(KEYS), choose.choice(VALUES)
    quiet = choose.choice([b"", b"", b"", b" noreply"])
    exptime, client_flags = choose.choice(EXPTIMES), choose.choice([b"0", b"0", b"5", b"4294967295"])
    base64 = choose.random() < 0.1
    meta_key, base64_flag = (choose.choice(BINARY), b" b") if base64 else (key, b"")
    store = b"%b %b %b %d" % (key, client_flags, exptime, len(value))
    kind = choose.choice(["get", "get", "gets", "gat", "store", "store", "cas", "delete", "count", "count", "touch", "mg", "mg", "mg", "ms", "ms", "ms", "md", "md", "ma", "ma", "me", "wrong", "flush"])
    match kind:
        case "get" | "gets":
            return kind.encode() + b" " + b" ".join(choose.choices(KEYS, k=choose.randrange(1, 4))) + b"\r\n"
        case "gat":
            return choose.choice([b"gat ", b"gats "]) + choose.choice(EXPTIMES[:4]) + b" " + key + b"\r\n"
        case "store":
            return choose.choice([b"set ", b"set ", b"add ", b"replace ", b"append ", b"prepend "]) + store + quiet + b"\r\n" + value + b"\r\n"
        case "cas":
            return b"gets " + key + b"\r\n" if choose.random() < 0.5 else b"cas " + store + b" {cas}" + quiet + b"\r\n" + value + b"\r\n"
        case "delete":
            return b"delete " + key + quiet + b"\r\n"
        case "count":
            return choose.choice([b"incr ", b"decr "]) + key + b" " + choose.choice(DELTAS) + quiet + b"\r\n"
        case "touch":
            return b"touch " + key + b" " + exptime + quiet + b"\r\n"
        case "mg":
            letters = "cfhklqstuvORTLP" if base64 else "cfhklqstuvNORTLP"
            return b"mg " + meta_key + base64_flag + random_flags(choose, letters) + b"\r\n"
        case "ms":
            return b"ms %b %d" % (meta_key, len(value)) + base64_flag + random_flags(choose, "ckqCFIMOTLP") + b"\r\n" + value + b"\r\n"
        case "md":
            return b"md " + meta_key + base64_flag + random_flags(choose, "kqCIOT") + b"\r\n"
        case "ma":
            # memcached forgets a T, and that a key is binary, where the number gets more digits.
            return b"ma " + key + random_flags(choose, "ckqtvCDJNOm") + b"\r\n"
        case "me":
            return b"me " + key + b"\r\n"
        case "flush":
            return choose.choice([b"flush_all\r\n", b"version\r\n", b"version\r\n", b"verbosity 1\r\n"])
    return choose.choice([b"get\r\n", b"set a 0 0\r\n", b"incr a x\r\n", b"touch a x\r\n", b"set a x 0 1\r\nz\r\n", b"set a 0 0 1\r\nzzz\r\n", b"mg a Z\r\n", b"mg a v v\r\n", b"ms a 1 MX\r\nz\r\n", b"ms a x\r\nz\r\n", b"ma a MX\r\n",
                          b"md a Cx\r\n", b"mg Zm9 b\r\n", b"foo\r\n", b"\r\n"])


@pytest.mark.parametrize("seed", range(1, 9))
def test_random(pair, seed):
    choose = random.Random(seed)
    history: list[bytes] = []
    assert pair.ask(b"flush_all\r\n") == (b"OK\r\n", b"OK\r\n")
    for number in range(3000):
        request = random_request(choose)
        history.append(request)
        ours, theirs = pair.ask(request)
        related = [each[:200] for each in history[-60:] if set(each.split()) & set(request.split()[1:])]
        assert same(ours, theirs), f"{ours!r} and not {theirs!r}: seed {seed}, request {number}: {request[:200]!r} behind {related!r}"
