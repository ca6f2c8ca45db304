"""Ten thousand connections at once, and clients that mean no good: those who were there before go on as if alone.

Nothing here is timed: it is enough that all who behave are served correctly and to the end, and that memory has a bound.
"""

from __future__ import annotations

import collections
import contextlib
import random
import socket
import ssl
import threading

import pytest

from support.raw import Error, RawClient, encode, info, memory_of
from support.server import Server
from support.tls import TlsServer
from support.wait import wait_for

MEGABYTE = 1 << 20
CROWD = 10_000
ESTABLISHED = 50

GARBAGE = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n",
           b"*-5\r\n*99999999999\r\n", b"*1\r\n$-7\r\n", b"\xff" * 1000, b"\0" * 1000, b"'unbalanced\r\n", b"*2\r\n:5\r\n"]
UNFINISHED = [b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$", b"*100000\r\n$4\r\n", b"SET key ", b"*2\r\n$3\r\nGET\r\n$1000000\r\nabc", b"*"]


class Established:
    """Clients that do their work in threads beside what the test does, each on keys of its own, and notice every wrong answer."""

    def __init__(self, port: int, password: str = "", tls: ssl.SSLContext | None = None):
        self.clients = [RawClient(port, tls=tls) for _ in range(ESTABLISHED)]
        if password:
            for client in self.clients:
                assert client.call("AUTH", password) == b"OK"
        self.over = threading.Event()
        self.rounds = collections.Counter()
        self.failures: list[BaseException] = []
        self.threads = [threading.Thread(target=self.work, args=(first,), daemon=True) for first in range(0, ESTABLISHED, 10)]

    def work(self, first: int) -> None:
        try:
            while not self.over.is_set():
                for i in range(first, first + 10):
                    self.rounds[i] += 1
                    self.clients[i].send_raw(encode("INCR", f"counter:{i}") + encode("SET", f"key:{i}", self.rounds[i]) + encode("GET", f"key:{i}"))
                for i in range(first, first + 10):
                    n = self.rounds[i]
                    assert [self.clients[i].read() for _ in range(3)] == [n, b"OK", b"%d" % n]
        except BaseException as failure:
            self.failures.append(failure)

    def __enter__(self) -> "Established":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        for client in self.clients:
            client.close()
        assert not self.failures, self.failures
        assert min(self.rounds[i] for i in range(ESTABLISHED)) > 0


def crowd(port: int, count: int, stack: contextlib.ExitStack, receive_buffer: int = 0) -> list[socket.socket]:
    """So many connections, as fast as they can be made."""
    made = []
    for _ in range(count):
        one = stack.enter_context(socket.socket())
        one.settimeout(30)
        if receive_buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        one.connect(("127.0.0.1", port))
        made.append(one)
    return made


def send(sockets: list[socket.socket], choices: list[bytes]) -> None:
    chance = random.Random(5)
    for one in sockets:
        # Who was shown out cannot be told any more.
        with contextlib.suppress(ConnectionError):
            one.sendall(chance.choice(choices))


def ended(one: socket.socket) -> bool:
    """Reads up to the end, which has to come."""
    with contextlib.suppress(ConnectionError):
        while one.recv(1 << 16):
            pass
    return True


def test_ten_thousand_at_once_half_of_them_slow_silent_or_sending_garbage(many_descriptors):
    with Server("--maxclients", str(CROWD + ESTABLISHED + 10)) as server, RawClient(server.port) as watcher:
        watcher.call("SET", "large", b"x" * 100_000)
        before = memory_of(server.process)
        with Established(server.port), contextlib.ExitStack() as stack:
            everybody = crowd(server.port, CROWD, stack)
            polite, silent, slow, garbage, unread = (everybody[begin:end] for begin, end in
                                                     ((0, 5000), (5000, 7000), (7000, 8500), (8500, 9500), (9500, CROWD)))
            for piece in range(3):
                send(slow, UNFINISHED)
                send(garbage, GARBAGE)
                for one in polite:
                    one.sendall(encode("PING"))
                for one in polite:
                    assert one.recv(100) == b"+PONG\r\n"
            send(unread, [encode("GET", "large")])
            for one in polite:
                one.sendall(encode("ECHO", "polite"))
            for one in polite:
                assert one.recv(100) == b"$6\r\npolite\r\n"
            assert int(info(watcher, "connected_clients")) >= 5000 + 2000 + ESTABLISHED
            # The large value is one block, however many clients wait for it. A slow one holds what it has sent.
            assert memory_of(server.process) - before < CROWD * 8192 + 32 * MEGABYTE
        wait_for(lambda: info(watcher, "connected_clients") == "1", "all are noticed to be gone", timeout=60)
        assert watcher.call("STRLEN", "large") == 100_000


def test_ten_thousand_without_a_password_are_shown_out_and_those_who_know_it_stay(many_descriptors):
    with Server("--maxclients", str(CROWD + ESTABLISHED + 10), "--requirepass", "secret", "--handshake-timeout", "2") as server, \
            RawClient(server.port) as watcher:
        assert watcher.call("AUTH", "secret") == b"OK"
        before = memory_of(server.process)
        with Established(server.port, "secret"), contextlib.ExitStack() as stack:
            everybody = crowd(server.port, CROWD, stack)
            send(everybody[:2000], UNFINISHED)
            send(everybody[2000:4000], [encode("PING") * 100])
            send(everybody[4000:5000], [encode("AUTH", "wrong")])
            wait_for(lambda: info(watcher, "connected_clients") == str(1 + ESTABLISHED), "all others are shown out", timeout=120)
            assert memory_of(server.process) - before < CROWD * 8192 + 32 * MEGABYTE
            for one in everybody:
                assert ended(one)
            assert int(info(watcher, "handshake_timeouts")) > CROWD / 2
        assert watcher.call("PING") == b"PONG"


def test_what_the_unauthenticated_leave_unread_is_bounded(many_descriptors):
    with Server("--requirepass", "secret", "--handshake-timeout", "0") as server, RawClient(server.port) as watcher, \
            contextlib.ExitStack() as stack:
        assert watcher.call("AUTH", "secret") == b"OK"
        before = memory_of(server.process, "VmHWM")
        greedy = crowd(server.port, 100, stack, receive_buffer=4096)
        requests = memoryview(b"PING\r\n" * 500_000)
        sent = [0] * len(greedy)
        for one in greedy:
            one.setblocking(False)

        def all_shown_out() -> bool:
            for i, one in enumerate(greedy):
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    sent[i] += one.send(requests[sent[i]:])
            return info(watcher, "connected_clients") == "1"

        wait_for(all_shown_out, "they are shown out")
        assert memory_of(server.process, "VmHWM") - before < 32 * MEGABYTE
        assert "closed for overcoming of output buffer limits" in server.read_log()


def test_what_they_may_send_is_read_no_further_than_needed():
    """A thousand requests of the greatest length that is allowed before AUTH, none of them finished."""
    with Server("--requirepass", "secret", "--handshake-timeout", "0") as server, RawClient(server.port) as watcher, \
            contextlib.ExitStack() as stack:
        assert watcher.call("AUTH", "secret") == b"OK"
        before = memory_of(server.process)
        everybody = crowd(server.port, 500, stack)
        request = b"*10\r\n" + b"".join(b"$16384\r\n" + b"x" * 16384 + b"\r\n" for _ in range(9)) + b"$16384\r\n" + b"x" * 16000
        for one in everybody:
            one.sendall(request)
        for one in everybody:
            one.sendall(b"y")
        wait_for(lambda: int(info(watcher, "total_net_input_bytes")) > len(everybody) * len(request), "all of it is read")
        assert memory_of(server.process) - before < len(everybody) * 3 * len(request)
        for one in everybody:
            one.sendall(b"y" * 383 + b"\r\n")
            assert one.recv(1 << 16).startswith(b"-ERR unknown command")


class TestDeadline:
    def test_those_who_know_the_password_and_those_who_need_none_stay(self):
        with Server("--handshake-timeout", "1") as server, RawClient(server.port) as early, RawClient(server.port) as watcher:
            assert early.call("PING") == b"PONG"
            assert watcher.call("CONFIG", "SET", "requirepass", "secret") == b"OK"
            with RawClient(server.port) as late, RawClient(server.port) as quick:
                assert quick.call("AUTH", "secret") == b"OK"
                assert late.call("PING") == "NOAUTH Authentication required."
                assert late.closed() and not late.buffer
                assert quick.call("PING") == early.call("PING") == b"PONG"
            assert info(watcher, "handshake_timeouts") == "1"

    def test_one_that_resets_has_as_long_again(self):
        with Server("--requirepass", "secret", "--handshake-timeout", "1") as server, RawClient(server.port) as other:
            with RawClient(server.port) as client:
                assert client.call("AUTH", "secret") == b"OK"
                assert other.closed()
                assert client.call("RESET") == b"RESET"
                assert client.call("AUTH", "secret") == b"OK"
                assert client.call("RESET") == b"RESET"
                assert client.closed() and not client.buffer


class TestLimitsOfConnections:
    def test_of_one_address(self):
        with Server("--maxclients-per-address", "3", "--maxclients-per-address-local", "yes", "--bind", "127.0.0.1 ::1") as server:
            with contextlib.ExitStack() as stack:
                other = stack.enter_context(RawClient(server.port, source="127.0.0.9"))
                wait_for(lambda: info(other, "connected_clients") == "1", "the probe of the start is gone")
                three = [stack.enter_context(RawClient(server.port, source="127.0.0.2")) for _ in range(3)]
                assert [client.call("PING") for client in three] == [b"PONG"] * 3
                with RawClient(server.port, source="127.0.0.2") as refused:
                    assert refused.read() == Error("ERR max number of clients of one address reached")
                    assert refused.closed()
                assert info(other, "rejected_connections") == "1"
                six = [stack.enter_context(RawClient(server.port, family=socket.AF_INET6)) for _ in range(3)]
                assert [client.call("PING") for client in six] == [b"PONG"] * 3
                three.pop().close()
                wait_for(lambda: info(other, "connected_clients") == "6", "the closed connection is noticed")
                with RawClient(server.port, source="127.0.0.2") as late:
                    assert late.call("PING") == b"PONG"
                assert other.call("CONFIG", "SET", "maxclients-per-address", "0") == b"OK"
                more = [stack.enter_context(RawClient(server.port, source="127.0.0.2")) for _ in range(5)]
                assert [client.call("PING") for client in more] == [b"PONG"] * 5

    def test_this_machine_has_none_unless_that_is_said(self, tmp_path):
        path = str(tmp_path / "socket")
        with Server("--maxclients-per-address", "1", "--unixsocket", path) as server, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(RawClient(server.port)) for _ in range(3)]
            assert [client.call("PING") for client in clients] == [b"PONG"] * 3
            assert clients[0].call("CONFIG", "SET", "maxclients-per-address-local", "yes") == b"OK"
            locals_ = [stack.enter_context(RawClient(path=path)) for _ in range(3)]
            assert [client.call("PING") for client in locals_] == [b"PONG"] * 3
            with RawClient(server.port) as refused:
                assert refused.read() == Error("ERR max number of clients of one address reached")


def test_the_log_does_not_grow_with_a_storm(many_descriptors):
    with Server() as server, RawClient(server.port) as watcher, contextlib.ExitStack() as stack:
        everybody = crowd(server.port, 1000, stack)
        send(everybody, [b"POST / HTTP/1.1\r\n"])
        for one in everybody:
            assert ended(one)
        assert watcher.call("PING") == b"PONG"
        lines = collections.Counter(line[:19] for line in server.read_log().splitlines() if "SECURITY ATTACK" in line)
        # Ten in a second of the monotonic clock, of which one of the log's may touch two.
        assert 10 <= sum(lines.values()) and max(lines.values()) <= 20


@pytest.fixture(scope="module")
def hello(authority):
    """What a client begins with."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        authority.client().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


class TestTls:
    def test_garbage_silence_and_half_handshakes(self, authority, certificate, hello, many_descriptors):
        count = 4000
        with TlsServer(authority, certificate, "--tls-auth-clients", "no", "--handshake-timeout", "3", "--loglevel", "verbose") as server, \
                RawClient(server.port) as watcher:
            before = memory_of(server.process, "VmHWM")
            with Established(server.tls_port, tls=authority.client()), contextlib.ExitStack() as stack:
                wait_for(lambda: info(watcher, "connected_clients") == str(1 + ESTABLISHED), "they are there")
                everybody = crowd(server.tls_port, count, stack)
                send(everybody[:1000], [hello])
                send(everybody[1000:2000], [hello[:50], hello[:5], b"\x16"])
                send(everybody[2000:3000], GARBAGE)
                with RawClient(server.tls_port, tls=authority.client()) as late:
                    assert late.call("PING") == b"PONG"
                for one in everybody:
                    assert ended(one)
                assert int(info(watcher, "handshake_failures")) > 500
                assert int(info(watcher, "handshake_timeouts")) > 1000
            wait_for(lambda: info(watcher, "connected_clients") == "1", "all are noticed to be gone")
            assert memory_of(server.process, "VmHWM") - before < count * 65536
            lines = collections.Counter(line[:19] for line in server.read_log().splitlines() if "Error accepting" in line)
            assert max(lines.values()) <= 20

    def test_maxclients_counts_those_who_shake_hands(self, authority, certificate):
        with TlsServer(authority, certificate, "--tls-auth-clients", "no", "--maxclients", "4") as server, contextlib.ExitStack() as stack:
            watcher = stack.enter_context(RawClient(server.port))
            wait_for(lambda: info(watcher, "connected_clients") == "1", "the probe of the start is gone")
            silent = crowd(server.tls_port, 3, stack)
            with socket.create_connection(("127.0.0.1", server.tls_port), timeout=30) as refused:
                assert ended(refused)
            with RawClient(server.port) as refused:
                assert refused.read() == "ERR max number of clients reached"
            assert info(watcher, "rejected_connections") == "2"
            for one in silent:
                one.close()

            def let_in() -> bool:
                with contextlib.suppress(OSError), RawClient(server.tls_port, tls=authority.client()) as late:
                    return late.call("PING") == b"PONG"
                return False

            wait_for(let_in, "there is room again")
