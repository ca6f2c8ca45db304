"""libmemcached's tools (Debian's libmemcached-tools), and with them its library in C, which pylibmc and others stand on."""

from __future__ import annotations

import subprocess

import pytest

from support.memcached import CacheServer


@pytest.fixture(scope="module")
def server():
    with CacheServer() as running:
        yield running


def run(server: CacheServer, tool: str, *arguments: str, status: int = 0) -> str:
    done = subprocess.run([tool, f"--servers=127.0.0.1:{server.memcached_port}", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_memccapable_finds_every_command_of_the_text_protocol(server):
    done = subprocess.run(["memccapable", "-h", "127.0.0.1", "-p", str(server.memcached_port), "-a"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    results = [line.rsplit(None, 1)[-1] for line in done.stdout.splitlines() if line.startswith("ascii ")]
    assert results == ["[pass]"] * 27, done.stdout


def test_a_file_goes_there_and_back(server, tmp_path):
    (tmp_path / "greeting").write_text("hello\n" * 100_000)
    run(server, "memccp", "--set", "--flag=7", "--expire=100", str(tmp_path / "greeting"))
    assert run(server, "memccat", "greeting") == "hello\n" * 100_000 + "\n"
    assert run(server, "memccat", "--flag", "greeting").startswith("7\n")
    run(server, "memcexist", "greeting")
    run(server, "memctouch", "--expire=50", "greeting")
    run(server, "memcrm", "greeting")
    run(server, "memcexist", "greeting", status=1)


def test_statistics_and_the_rest(server):
    run(server, "memcflush")
    statistics = run(server, "memcstat")
    assert f"Server: 127.0.0.1 ({server.memcached_port})" in statistics and "curr_items: 0" in statistics
    run(server, "memcping")
    assert "100" in run(server, "memcslap", "--concurrency=2", "--execute-number=100", "--test=set")
    assert "curr_items: 0" not in run(server, "memcstat")
    run(server, "memcflush")
    assert "curr_items: 0" in run(server, "memcstat")
