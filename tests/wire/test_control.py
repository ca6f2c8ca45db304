"""Clients that hold back, silence or end one another, and elements that must not get lost on the way."""

from __future__ import annotations

from support.raw import Error, encode, info
from support.wait import wait_for


def block(connect, watcher, key: str):
    """A client that waits for an element of `key`, and its id."""
    client = connect()
    number = client.call("CLIENT", "ID")
    client.send("BLPOP", key, "0")
    wait_for(lambda: f"id={number} " in "".join(line for line in watcher.call("CLIENT", "LIST").decode().splitlines(True)
                                              if " flags=b " in line), "the client is blocked")
    return client, number


def test_a_paused_write_is_done_after_unpause(connect):
    pauser, writer, reader = connect(), connect(), connect()
    pauser.call("DEL", "paused")
    assert pauser.call("CLIENT", "PAUSE", "60000", "WRITE") == b"OK"
    writer.send_raw(encode("SET", "paused", "1") + encode("GET", "paused"))
    wait_for(lambda: info(reader, "blocked_clients") == "1", "the write is held back")
    assert reader.call("EXISTS", "paused") == 0
    assert pauser.call("CLIENT", "UNPAUSE") == b"OK"
    assert writer.read() == b"OK"
    assert writer.read() == b"1"


def test_a_pause_of_everything_ends_by_itself(connect):
    pauser, other = connect(), connect()
    other.call("DEL", "counter")
    assert pauser.call("CLIENT", "PAUSE", "50", "ALL") == b"OK"
    other.send_raw(encode("INCR", "counter") * 3)
    assert [other.read() for _ in range(3)] == [1, 2, 3]
    assert pauser.call("GET", "counter") == b"3"


def test_a_paused_client_that_goes_away_has_written_nothing(connect):
    pauser, writer = connect(), connect()
    pauser.call("DEL", "abandoned")
    pauser.call("CLIENT", "PAUSE", "60000", "WRITE")
    writer.send("SET", "abandoned", "1")
    wait_for(lambda: info(pauser, "blocked_clients") == "1", "the write is held back")
    writer.close()
    wait_for(lambda: info(pauser, "blocked_clients") == "0", "the client is noticed to be gone")
    assert pauser.call("CLIENT", "UNPAUSE") == b"OK"
    assert pauser.call("EXISTS", "abandoned") == 0


def test_client_reply(connect):
    client = connect()
    client.send_raw(encode("CLIENT", "REPLY", "OFF") + encode("SET", "silent", "1") + encode("NOSUCHCOMMAND") +
                    encode("CLIENT", "REPLY", "ON") + encode("GET", "silent") + encode("CLIENT", "REPLY", "SKIP") +
                    encode("PING", "skipped") + encode("PING", "heard"))
    assert [client.read() for _ in range(3)] == [b"OK", b"1", b"heard"]


def test_kill_before_push_in_one_pipeline_leaves_the_element(connect):
    killer = connect()
    killer.call("DEL", "queue")
    waiting, number = block(connect, killer, "queue")
    killer.send_raw(encode("CLIENT", "KILL", "ID", number) + encode("LPUSH", "queue", "element"))
    assert [killer.read(), killer.read()] == [1, 1]
    assert waiting.closed() and not waiting.buffer
    assert killer.call("LRANGE", "queue", 0, -1) == [b"element"]


def test_push_and_kill_in_one_transaction_leaves_the_element(connect):
    killer = connect()
    killer.call("DEL", "queue")
    waiting, number = block(connect, killer, "queue")
    killer.send_raw(encode("MULTI") + encode("LPUSH", "queue", "element") + encode("CLIENT", "KILL", "ID", number) +
                    encode("EXEC"))
    assert [killer.read() for _ in range(4)] == [b"OK", b"QUEUED", b"QUEUED", [1, 1]]
    assert waiting.closed() and not waiting.buffer
    assert killer.call("LRANGE", "queue", 0, -1) == [b"element"]


def test_push_before_kill_in_one_pipeline_delivers_the_element(connect):
    killer = connect()
    killer.call("DEL", "queue")
    waiting, number = block(connect, killer, "queue")
    killer.send_raw(encode("LPUSH", "queue", "element") + encode("CLIENT", "KILL", "ID", number))
    assert [killer.read(), killer.read()] == [1, 1]
    # It was served before it was killed: the element is in its hands, or still in the list, but nowhere else.
    assert waiting.closed()
    delivered = bytes(waiting.buffer) == encode("queue", "element")
    assert [delivered, killer.call("LLEN", "queue")] in ([True, 0], [False, 1])


def test_a_blocked_client_that_goes_away_takes_nothing(connect):
    pusher = connect()
    pusher.call("DEL", "queue")
    first, _ = block(connect, pusher, "queue")
    second, _ = block(connect, pusher, "queue")
    first.close()
    wait_for(lambda: info(pusher, "blocked_clients") == "1", "the client is noticed to be gone")
    assert pusher.call("RPUSH", "queue", "one", "two") == 2
    assert second.read() == [b"queue", b"one"]
    assert pusher.call("LRANGE", "queue", 0, -1) == [b"two"]


def test_unblock_with_an_error(connect):
    other = connect()
    other.call("DEL", "queue")
    waiting, number = block(connect, other, "queue")
    waiting.send("PING")
    assert other.call("CLIENT", "UNBLOCK", number, "ERROR") == 1
    assert waiting.read() == Error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
    assert waiting.read() == b"PONG"
