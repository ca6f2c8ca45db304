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

        def send() -> None:
            for _ in range(rounds):
                client.send_raw(requests)

        sender = threading.Thread(target=send)
        sender.start()
        expected, got, buffer = memoryview(replies * 2), 0, bytearray(MEGABYTE // 4)
        while got < rounds * len(replies):
            n = client.socket.recv_into(buffer)
            assert n > 0
            at = got % len(replies)
            assert memoryview(buffer)[:n] == expected[at:at + n]
            got += n
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
        client.call("CONFIG", "RESETSTAT")
        yield client
        client.call("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0 pubsub 33554432 8388608 60")

    def subscribe(self, connect, name: str) -> RawClient:
        client = connect(receive_buffer=4096)
        assert client.call("SUBSCRIBE", name) == [b"subscribe", name.encode(), 1]
        return client

    def test_the_hard_limit_closes_a_slow_subscriber_at_once(self, server, connect, publisher):
        assert publisher.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 4mb 0 0") == b"OK"
        self.subscribe(connect, "hard")
        reader = self.subscribe(connect, "hard")
        before = memory_of(server.process, "VmHWM")
        for _ in range(self.MOST):
            receivers = publisher.call("PUBLISH", "hard", self.MESSAGE)
            assert reader.read() == [b"message", b"hard", self.MESSAGE]
            if receivers == 1:
                break
        assert publisher.call("PUBSUB", "NUMSUB", "hard") == [b"hard", 1]
        assert info(publisher, "client_output_buffer_limit_disconnections") == "1"
        assert memory_of(server.process, "VmHWM") - before < 32 * MEGABYTE

    def test_the_soft_limit_closes_a_subscriber_that_stays_over_it(self, connect, publisher):
        assert publisher.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 1mb 1") == b"OK"
        slow = self.subscribe(connect, "soft")
        with_room = self.subscribe(connect, "other")
        held = 0
        while held < 2 * MEGABYTE:  # the kernel takes the first ones
            assert publisher.call("PUBLISH", "soft", self.MESSAGE) == 1
            fields = dict(field.partition("=")[::2] for line in publisher.call("CLIENT", "LIST").decode().splitlines()
                          if " sub=1 " in line for field in line.split() if int(line.rpartition("omem=")[2].split()[0]))
            held = int(fields.get("omem", 0))
        wait_for(lambda: publisher.call("PUBSUB", "NUMSUB", "soft") == [b"soft", 0], "the subscriber is shown out")
        assert info(publisher, "client_output_buffer_limit_disconnections") == "1"
        assert slow.closed()
        assert publisher.call("PUBLISH", "other", "still here") == 1
        assert with_room.read() == [b"message", b"other", b"still here"]

    def test_normal_clients_have_none_unless_set(self, server, connect, publisher):
        publisher.call("SET", "value", self.MESSAGE)
        patient = connect(receive_buffer=4096)
        patient.send_raw(encode("GET", "value") * 40)
        assert [patient.read() == self.MESSAGE for _ in range(40)] == [True] * 40
        assert publisher.call("CONFIG", "SET", "client-output-buffer-limit", "normal 4mb 0 0") == b"OK"
        greedy = connect(receive_buffer=4096)
        greedy.send_raw(encode("GET", "value") * self.MOST)
        wait_for(lambda: info(publisher, "client_output_buffer_limit_disconnections") == "1", "the client is shown out")
        assert greedy.closed()
        assert len(greedy.buffer) < self.MOST * len(self.MESSAGE)
