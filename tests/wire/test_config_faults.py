"""CONFIG SET of several settings says which of them could not be had, and changes none."""

from __future__ import annotations

import socket

import pytest

from support.raw import Error, RawClient
from support.server import Server

PORT = "Unable to listen on this port. Check server logs."
BIND = "Failed to bind to specified addresses."


@pytest.fixture(scope="module")
def server():
    with Server() as running:
        yield running


@pytest.fixture
def taken():
    """A port at which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("settings, at_fault, reason", [
    (["hz", 20, "port", "TAKEN"], "port", PORT),
    (["port", "TAKEN", "hz", 20], "port", PORT),
    (["hz", 20, "db.1.memcached-port", "TAKEN", "timeout", 7], "db.1.memcached-port", BIND),
    (["hz", 20, "bind", "192.0.2.1"], "bind", BIND),
    (["hz", 20, "tls-port", "TAKEN"], "tls-port", "Unable to update TLS configuration. Check server logs."),
    (["hz", 20, "timeout", -1], "timeout", "argument must be between 0 and 2147483647 inclusive"),
    (["hz", 20, "dir", "/"], "dir", "can't set protected config"),
], ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None)
def test_the_setting_at_fault_is_named(server, taken, settings, at_fault, reason):
    with RawClient(server.port) as client:
        before = client.call("CONFIG", "GET", "*")
        reply = client.call("CONFIG", "SET", *(taken if word == "TAKEN" else word for word in settings))
        assert reply == Error(f"ERR CONFIG SET failed (possibly related to argument '{at_fault}') - {reason}")
        assert client.call("CONFIG", "GET", "*") == before
        with RawClient(server.port) as other:
            assert other.call("PING") == b"PONG"
