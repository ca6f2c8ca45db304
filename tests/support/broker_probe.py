"""Pushes to and pops from a queue of database 0, one pair after the other, and measures how long each takes.

    python broker_probe.py PORT [ahead]

A process of its own, so that no other thread's Python is measured; with `ahead` it also runs before everything else on its
core. At the end of its input it writes its latencies in microseconds, one a line; `lost` stands for a pair whose element was gone
before it was popped, which is what eviction does to a queue.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time

KEY = b"probe:queue"
REQUEST = b"LPUSH %s x\r\nBRPOP %s 1\r\n" % (KEY, KEY)
REPLY = b":1\r\n*2\r\n$%d\r\n%s\r\n$1\r\nx\r\n" % (len(KEY), KEY)
LOST = b":1\r\n*-1\r\n"
PAUSE = 0.001  # seconds between two pairs
TIMEOUT = 60   # seconds that a reply may take


def main() -> None:
    if "ahead" in sys.argv[2:]:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    pairs: list[int | str] = []
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=TIMEOUT) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not select.select([sys.stdin], [], [], PAUSE)[0]:
            began = time.perf_counter_ns()
            connection.sendall(REQUEST)
            reply = b""
            while len(reply) < len(REPLY) and reply != LOST and not reply.startswith(b"-"):
                part = connection.recv(4096)
                if not part:
                    raise SystemExit("the server has closed the connection")
                reply += part
            if reply == LOST:
                pairs.append("lost")
                continue
            if reply != REPLY:
                raise SystemExit(f"an unexpected reply: {reply!r}")
            pairs.append((time.perf_counter_ns() - began) // 1000)
    print("\n".join(map(str, pairs)))


if __name__ == "__main__":
    main()
