"""Node's client of memcached's text protocol, `memcached`. (memjs speaks the binary protocol alone.)"""

from __future__ import annotations

import os
import pathlib
import subprocess

from support.memcached import CacheServer
from support.packages import node_packages

PROJECT = pathlib.Path(__file__).resolve().parent / "node"


def test_memcached():
    modules = node_packages("node", PROJECT) / "node_modules"
    with CacheServer() as server:
        environment = {**os.environ, "PORT": str(server.memcached_port), "NODE_PATH": str(modules)}
        done = subprocess.run(["node", "--test", str(PROJECT / "memcached.test.js")], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
