"""ioredis, which BullMQ and most Node applications use: the newest in both protocols, and version 5."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from support.packages import node_packages

PROJECT = pathlib.Path(__file__).resolve().parent / "node"

VARIANTS = {
    "newest-RESP3": {"PACKAGE": "ioredis", "PROTOCOL": "3", "MAPPING": "legacy"},
    "newest-RESP3-types": {"PACKAGE": "ioredis", "PROTOCOL": "3", "MAPPING": "resp3"},
    "newest-RESP2": {"PACKAGE": "ioredis", "PROTOCOL": "2", "MAPPING": "legacy"},
    "version-5": {"PACKAGE": "ioredis-5", "PROTOCOL": "2", "MAPPING": "legacy"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_ioredis(server, variant):
    modules = node_packages("node", PROJECT) / "node_modules"
    environment = {**os.environ, **VARIANTS[variant], "PORT": str(server.port), "NODE_PATH": str(modules)}
    done = subprocess.run(["node", "--test", str(PROJECT / "ioredis.test.js")], env=environment, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
