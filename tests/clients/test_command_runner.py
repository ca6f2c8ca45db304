"""examples/command_runner: background processes hand their output to a page through the cache."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import time

import pytest
import redis
from support.memcached import CacheServer
from support.processes import EXAMPLES, Visitor, django_site, manage

DIRECTORY = EXAMPLES / "command_runner"
SERVER_BACKENDS = ["redis", "django-redis", "memcached"]
SHARED_BACKENDS = [*SERVER_BACKENDS, "database", "file"]

# A command that goes on only when the test says so: what the page shows meanwhile does not depend on luck.
SETTINGS_WITH_A_GATE = """
from config.settings import *

RUNNER_COMMANDS["gate"] = [sys.executable, "-u", "-c", '''
import os, time
print("before the gate, \\u20ac")
while not os.path.exists(os.environ["GATE"]):
    time.sleep(0.01)
print("after the gate")
''']
"""


@pytest.fixture(scope="module")
def server():
    with CacheServer() as running:
        yield running


@pytest.fixture
def environment(server, tmp_path: pathlib.Path):
    with redis.Redis.from_url(server.url(1)) as client:
        client.flushdb()
    return {
        "REDIS_URL": server.url(1),
        "MEMCACHED_LOCATION": f"127.0.0.1:{server.memcached_port}",
        "DATABASE_PATH": str(tmp_path / "db.sqlite3"),
        "CACHE_DIRECTORY": str(tmp_path / "cache"),
    }


def start(visitor: Visitor, command: str) -> str:
    """Presses the button of a command as a visitor does, and returns the path of the run's page."""
    visitor.get("/")
    page = visitor.post("/runs/", command=command)
    assert page.status_code == 200, page.text
    return page.url.removeprefix(visitor.site)


def follow(visitor: Visitor, run: str, until=lambda text: False, seconds: float = 60) -> tuple[str, dict]:
    """Polls as the page's script does, until the output satisfies `until` or is complete."""
    text, after = "", 0
    deadline = time.monotonic() + seconds
    while True:
        answer = visitor.get(f"{run}output", after=after)
        assert answer.status_code == 200, answer.text
        piece = answer.json()
        text += piece["text"]
        if piece["complete"] or until(text):
            return text, piece
        assert time.monotonic() < deadline, f"the run did not end: {piece['state']}, {len(text)} characters"
        if piece["next"] == after:
            time.sleep(0.02)
        after = piece["next"]


@pytest.mark.parametrize("backend", SHARED_BACKENDS)
def test_page_shows_output_while_the_command_runs(backend, environment, tmp_path):
    (tmp_path / "gated_settings.py").write_text(SETTINGS_WITH_A_GATE)
    gate = tmp_path / "gate"
    environment |= {"CACHE_BACKEND": backend, "GATE": str(gate), "PYTHONIOENCODING": "utf-8",
                    "PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "gated_settings"}
    if backend == "database":
        assert manage(DIRECTORY, environment, "createcachetable").returncode == 0

    with django_site(DIRECTORY, environment) as site, Visitor(site) as visitor:
        run = start(visitor, "gate")
        text, piece = follow(visitor, run, until=lambda text: "gate" in text)
        assert text == "before the gate, \u20ac\n"
        assert (piece["state"], piece["exit_code"], piece["complete"]) == ("running", None, False)

        gate.touch()
        text, piece = follow(visitor, run)
        assert text == "before the gate, \u20ac\nafter the gate\n"
        assert (piece["state"], piece["exit_code"]) == ("finished", 0)
        assert visitor.get(f"{run}output.txt").content.decode() == text

        text, piece = follow(visitor, start(visitor, "fail"))
        assert text == "This goes to stderr.\n"
        assert (piece["state"], piece["exit_code"]) == ("finished", 1)


# One chunk of 20 MB is one SET and one GET of 20 MB; the chunks of the settings are some eighty small ones.
@pytest.mark.parametrize("chunk", [{}, {"RUNNER_CHUNK_BYTES": "64000000", "RUNNER_CHUNK_SECONDS": "600"}],
                         ids=["many-chunks", "one-chunk"])
@pytest.mark.parametrize("backend", SERVER_BACKENDS)
def test_twenty_megabytes_pass_through(backend, chunk, environment, server):
    expected = b"".join(b"%d\n" % number for number in range(10**18, 10**18 + 1_000_000))
    assert len(expected) == 20_000_000

    with django_site(DIRECTORY, {**environment, **chunk, "CACHE_BACKEND": backend}) as site, Visitor(site) as visitor:
        run = start(visitor, "flood")
        text, piece = follow(visitor, run)
        assert (piece["state"], piece["exit_code"]) == ("finished", 0)
        # Compared as digests, because pytest would take minutes to show how two such texts differ.
        assert hashlib.sha256(text.encode()).digest() == hashlib.sha256(expected).digest()
        assert hashlib.sha256(visitor.get(f"{run}output.txt").content).digest() == hashlib.sha256(expected).digest()

    with contextlib.closing(redis.Redis.from_url(server.url(1))) as client:
        stored = [client.strlen(key) for key in client.scan_iter("*:chunk:*")]
    assert sum(stored) >= len(expected)
    assert len(stored) == 1 if chunk else len(stored) > 10


def test_only_listed_commands_run(environment):
    with django_site(DIRECTORY, environment) as site, Visitor(site) as visitor:
        visitor.get("/")
        assert visitor.post("/runs/", command="uname -a").status_code == 400
        assert visitor.get("/runs/no-such-run/").status_code == 404
        run = start(visitor, "system")
        assert visitor.get(f"{run}output", after="1000").status_code == 400
        assert visitor.get(f"{run}output", after="x").status_code == 400


@pytest.mark.parametrize("backend", SHARED_BACKENDS)
def test_what_a_child_sets_its_parent_sees(backend, environment):
    environment |= {"CACHE_BACKEND": backend}
    if backend == "database":
        assert manage(DIRECTORY, environment, "createcachetable").returncode == 0
    check = manage(DIRECTORY, environment, "check_shared_cache")
    assert check.returncode == 0, check.stderr
    assert "set its process id" in check.stdout


def test_the_check_finds_a_cache_that_is_not_shared(environment):
    check = manage(DIRECTORY, {**environment, "CACHE_BACKEND": "locmem"}, "check_shared_cache")
    assert check.returncode == 1
    assert "not visible to its parent, which reads None" in check.stderr
