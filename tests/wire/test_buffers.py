"""What clients send and do not read has bounds."""

from __future__ import annotations

import threading

import pytest

from support.raw import RawClient, encode, info, memory_of
from support.server import Server
from support.wait import wait_for

MEGABYTE = 1 << 20


def test_a_gigabyte_of_pipelined_requests():
    keys = [f"key:{i}" for i in range(4)]
    values = [bytes([65 + i]) * 4000 for i in range(4)]
    requests = replies = b""
    for key, value in zip(keys, values):
        requests += encode("SET", key, value) * 7 + encode("GET", key)
        replies += b"+OK\r\n" * 7 + b"$4000\r\n" + value + b"\r\n"
    copies = MEGABYTE // len(requests) + 1
    requests, replies = requests * copies, replies * copies
    rounds = 1024 * MEGABYTE // len(requests)

    with Server() as server, RawClient(server.port) as client:
        before = memory_of(server.process, "VmHWM")

        # The replies are read, so that no more of them wait than those of the rounds on their way.
        window = threading.Semaphore(8)

        def send() -> None:
            for _ in range(rounds):
                window.acquire()
                client.send_raw(requests)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        expected, got, buffer = memoryview(replies * 4), 0, bytearray(MEGABYTE // 4)
        while got < rounds * len(replies):
            n = client.socket.recv_into(buffer)
            assert n > 0
            at = got % len(replies)
            assert memoryview(buffer)[:n] == expected[at:at + n]
            got += n
            if at + n >= len(replies):
                window.release((at + n) // len(replies))
        sender.join()
        assert memory_of(server.process, "VmHWM") - before < 16 * MEGABYTE


def test_a_value_of_256_megabytes_in_pieces():
    size, piece = 256 * MEGABYTE, bytes(range(256)) * 512
    with Server() as server, RawClient(server.port, timeout=60) as client:
        before = memory_of(server.process, "VmHWM")
        client.send_raw(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n" % size)
        for _ in range(size // len(piece)):
            client.send_raw(piece)
        client.send_raw(b"\r\n")
        assert client.read() == b"OK"
        # The value as it arrived and its copy in the database.
        assert memory_of(server.process, "VmHWM") - before < 2 * size + 32 * MEGABYTE
        assert client.call("STRLEN", "big") == size
        for start in (0, size // 2 - 100, size - len(piece)):
            expected = (piece * 2)[start % len(piece):][:len(piece)]
            assert client.call("GETRANGE", "big", start, start + len(piece) - 1) == expected
        assert client.call("DEL", "big") == 1
        wait_for(lambda: memory_of(server.process) - before < 64 * MEGABYTE, "the memory is given back")


def test_client_query_buffer_limit():
    with Server("--client-query-buffer-limit", "1mb") as server, RawClient(server.port) as client:
        client.send_raw(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$%d\r\n" % (8 * MEGABYTE))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(64):
                client.send_raw(b"x" * MEGABYTE)
        with RawClient(server.port) as other:
            assert other.call("EXISTS", "key") == 0
            # A pipeline as long as that is executed as it comes, and so held by nobody.
            other.send_raw(encode("SET", "key", "x" * 1000) * 3000)
            assert [other.read() for _ in range(3000)] == [b"OK"] * 3000


class TestOutputBufferLimit:
    MESSAGE = b"m" * (MEGABYTE // 2)
    MOST = 100  # messages: more than limit and kernel hold

    @pytest.fixture
    def publisher(self, connect):
        client = connect()
        yield client
        client.call("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0 pubsub 33554432 8388608 60")

    def subscribe(self, connect, name: str) -> RawClient:
        client = connect(receive_buffer=4096)
        assert client.call("SUBSCRIBE", name) == [b"subscribe", name.encode(), 1]
        return client

    def test_the_hard_limit_closes_a_slow_subscriber_at_once(self, server, connect, publisher):
        assert publisher.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 4mb 0 0") == b"OK"
        slow = self.subscribe(connect, "hard")
        reader = self.subscribe(connect, "hard")
        before = memory_of(server.process, "VmHWM")
        sent = 0
        while publisher.call("PUBSUB", "NUMSUB", "hard") == [b"hard", 2]:
            assert (sent := sent + 1) < self.MOST
            publisher.call("PUBLISH", "hard", self.MESSAGE)
            assert reader.read() == [b"message", b"hard", self.MESSAGE]
        assert memory_of(server.process, "VmHWM") - before < 32 * MEGABYTE
        assert publisher.call("PUBLISH", "hard", "last") == 1
        assert reader.read() == [b"message", b"hard", b"last"]
        assert slow.closed()
        assert len(slow.buffer) < sent * len(self.MESSAGE)

    def test_the_soft_limit_closes_a_subscriber_that_stays_over_it(self, connect, publisher):
        assert publisher.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 1mb 1") == b"OK"
        slow = self.subscribe(connect, "soft")
        other = self.subscribe(connect, "other")
        for _ in range(self.MOST // 4):
            publisher.call("PUBLISH", "soft", self.MESSAGE)
        # Nothing is published any more: it is time that closes the connection.
        wait_for(lambda: publisher.call("PUBSUB", "NUMSUB", "soft") == [b"soft", 0], "the subscriber is shown out")
        assert slow.closed()
        assert publisher.call("PUBLISH", "other", "still here") == 1
        assert other.read() == [b"message", b"other", b"still here"]

    def test_normal_clients_have_none_unless_set(self, connect, publisher):
        publisher.call("SET", "value", self.MESSAGE)
        patient = connect(receive_buffer=4096)
        patient.send_raw(encode("GET", "value") * 40)
        for _ in range(40):
            assert patient.read() == self.MESSAGE
        assert publisher.call("CONFIG", "SET", "client-output-buffer-limit", "normal 4mb 0 0") == b"OK"
        greedy = connect(receive_buffer=4096)
        number = greedy.call("CLIENT", "ID")
        greedy.send_raw(encode("GET", "value") * self.MOST)
        wait_for(lambda: f"id={number} " not in publisher.call("CLIENT", "LIST").decode(), "the client is shown out")
        assert greedy.closed()
        assert len(greedy.buffer) < self.MOST * len(self.MESSAGE)

    @pytest.mark.parametrize("command", [
        ("HRANDFIELD", "hash", -4000000), ("SRANDMEMBER", "set", -4000000), ("ZRANDMEMBER", "sorted", -4000000), ("LRANGE", "list", 0, -1),
        ("EVAL", "local t = {} for i = 1, 100000 do t[i] = ARGV[1] end return t", 0, "f" * 100)])
    def test_one_reply_is_not_built_beyond_it(self, connect, publisher, server, command):
        field = "f" * 100
        publisher.call("HSET", "hash", field, "v")
        publisher.call("SADD", "set", field)
        publisher.call("ZADD", "sorted", 1, field)
        if not publisher.call("EXISTS", "list"):
            for _ in range(100):
                publisher.call("RPUSH", "list", *["e" * 10000] * 100)
        assert publisher.call("CONFIG", "SET", "client-output-buffer-limit", "normal 1000000 0 0") == b"OK"
        used = int(info(publisher, "used_memory"))
        before = memory_of(server.process, "VmHWM")
        greedy = connect()
        greedy.send_raw(encode(*command) + encode("SET", "after", 1))
        assert greedy.closed()
        assert greedy.buffer == b""
        assert publisher.call("EXISTS", "after") == 0
        assert memory_of(server.process, "VmHWM") - before < 32 * MEGABYTE
        wait_for(lambda: int(info(publisher, "used_memory")) < used + 8 * MEGABYTE, "the memory is given back")


class TestClientEviction:
    LIMIT = 8 * MEGABYTE

    def test_unfinished_requests_and_unread_replies_take_no_keys(self):
        with Server("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru", "--maxmemory-clients", str(self.LIMIT)) as server:
            with RawClient(server.port) as client:
                for i in range(100):
                    client.call("SET", f"key:{i}", "x" * 100_000)
                greedy = [RawClient(server.port, receive_buffer=4096) for _ in range(8)]
                for each in greedy:
                    try:
                        each.send_raw(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n" % (40 * MEGABYTE))
                        for _ in range(20):
                            each.send_raw(b"x" * MEGABYTE)
                    except ConnectionError:
                        pass
                for each in greedy[:4]:
                    assert each.closed()
                readers = [RawClient(server.port, receive_buffer=4096) for _ in range(8)]
                for each in readers:
                    each.send_raw(b"".join(encode("GET", f"key:{i}") for i in range(60)))
                wait_for(lambda: int(info(client, "mem_clients_normal")) <= self.LIMIT, "the clients hold no more than they may")
                assert int(info(client, "evicted_clients")) >= 8
                assert client.call("DBSIZE") == 100
                assert int(info(client, "evicted_keys")) == 0
                for each in greedy + readers:
                    each.socket.close()

    def test_who_asked_for_it_is_kept(self):
        with Server("--maxmemory-clients", str(self.LIMIT)) as server, RawClient(server.port) as kept:
            assert kept.call("CLIENT", "NO-EVICT", "ON") == b"OK"
            kept.send_raw(b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % (20 * MEGABYTE) + b"x" * (20 * MEGABYTE))
            kept.send_raw(b"\r\n")
            assert len(kept.read()) == 20 * MEGABYTE
            with RawClient(server.port) as later:
                assert later.call("PING") == b"PONG"
