"""examples/job_board: caches on three databases, sessions, a scraping worker and redis_monitor."""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import re
import sqlite3
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import redis
from support.processes import EXAMPLES, Visitor, celery_worker, django_site, manage
from support.server import Server, free_port
from support.wait import wait_for

DIRECTORY = EXAMPLES / "job_board"


class Source(http.server.ThreadingHTTPServer):
    """Another site: it serves postings and a list of proxies, and is itself a proxy to its postings."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SourceHandler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.proxies: list[str] = []
        self.proxied: list[str] = []
        self.postings: list[tuple[str, str, str]] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()


class SourceHandler(http.server.BaseHTTPRequestHandler):
    server: Source

    def do_GET(self) -> None:
        if self.path == "/proxies.txt":
            return self.answer("\n".join(self.server.proxies))
        # Only a proxy is sent a whole address.
        if self.path.startswith("http://"):
            self.server.proxied.append(self.path)
        self.server.entered.set()
        self.server.gate.wait(60)
        self.answer("".join(
            f'<li><a class="job" href="/job/{number}" data-company="{company}" data-location="{location}">{title}</a></li>'
            for number, (title, company, location) in enumerate(self.server.postings)))

    def answer(self, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as running:
        running.postings = [("Database engineer", "Northwind", "Oslo"), ("Python developer", "Contoso", "Lisbon")]
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield running
        finally:
            running.gate.set()
            running.shutdown()
            thread.join()


class Board(NamedTuple):
    """The board's surroundings: an empty server, a migrated database, and the environment that names them."""
    server: Server
    environment: dict[str, str]
    database_path: pathlib.Path

    def keys(self, database: int) -> list[str]:
        with redis.Redis.from_url(self.server.url(database), decode_responses=True) as client:
            return sorted(client.scan_iter())

    def monitor(self, *options: str) -> str:
        ended = manage(DIRECTORY, self.environment, "redis_monitor", *options)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture
def board(server: Server, source: Source, tmp_path: pathlib.Path) -> Board:
    with redis.Redis.from_url(server.url()) as client:
        client.flushall()
    environment = {
        "REDIS_URL": server.url(9),  # The board replaces the database with its own ones.
        "CELERY_BROKER_URL": server.url(0),
        "DATABASE_PATH": str(tmp_path / "db.sqlite3"),
        "SCRAPE_SOURCES": f"demo={source.address}/jobs.html",
    }
    migrated = manage(DIRECTORY, environment, "migrate")
    assert migrated.returncode == 0, migrated.stderr
    return Board(server, environment, tmp_path / "db.sqlite3")


def worker(board: Board, **environment: str) -> contextlib.AbstractContextManager:
    return celery_worker(DIRECTORY, {**board.environment, **environment}, "-P", "prefork", "-c", "2")


def scrape(visitor: Visitor) -> None:
    visitor.get("/sources/")
    assert visitor.post("/sources/demo/scrape/").status_code == 200


def wait_for_status(visitor: Visitor, expected: str) -> None:
    wait_for(lambda: expected in visitor.get("/sources/").text, f"the status {expected!r}")


def test_a_worker_scrapes_and_the_pages_show_it(board: Board, source: Source):
    with django_site(DIRECTORY, board.environment) as site, Visitor(site) as visitor, worker(board):
        assert "There are no jobs here yet" in visitor.get("/").text
        assert "demo: never" in visitor.get("/sources/").text

        scrape(visitor)
        wait_for_status(visitor, "demo: finished, 2 found, 2 new")
        page = visitor.get("/").text
        assert "Database engineer" in page and "Python developer" in page
        page = visitor.get("/", location="Oslo").text
        assert "Database engineer" in page and "Python developer" not in page

        assert "There are no jobs here yet" in visitor.get("/", page=2).text
        assert visitor.get("/", page="x").status_code == 404

        # The listings above are in the cache now, and must be forgotten with the next posting.
        source.postings.append(("Site reliability engineer", "Contoso", "Oslo"))
        scrape(visitor)
        wait_for_status(visitor, "demo: finished, 3 found, 1 new")
        assert "Site reliability engineer" in visitor.get("/").text
        assert "Site reliability engineer" in visitor.get("/", location="Oslo").text


def test_a_source_is_scraped_by_one_worker_at_a_time(board: Board, source: Source):
    def results() -> list[object]:
        with redis.Redis.from_url(board.server.url(0)) as client:
            states = [json.loads(client.get(key) or "{}") for key in client.scan_iter("celery-task-meta-*")]
        return [state["result"] for state in states if state.get("status") == "SUCCESS"]

    source.gate.clear()
    with django_site(DIRECTORY, board.environment) as site, Visitor(site) as visitor, worker(board):
        scrape(visitor)
        assert source.entered.wait(30)
        assert "demo: running" in visitor.get("/sources/").text
        scrape(visitor)
        wait_for(lambda: results() == [None], "the second task to give up")
        source.gate.set()
        wait_for(lambda: len(results()) == 2, "the first task to end")
        assert {"found": 2, "new": 2} in results()
        assert "jobs:1:scraping:demo" not in board.keys(3)


def test_every_key_lands_in_its_database_with_prefix_and_timeout(board: Board, source: Source):
    source.proxies = [source.address]
    proxied = {"PROXY_LIST_URL": f"{source.address}/proxies.txt"}
    with django_site(DIRECTORY, board.environment) as site, Visitor(site) as visitor, worker(board, **proxied):
        scrape(visitor)
        wait_for_status(visitor, "demo: finished")
        visitor.get("/")
        visitor.get("/statistics/")
        visitor.post("/jobs/1/save/")

        assert any(key == "_kombu.binding.celery" for key in board.keys(0))
        wait_for(lambda: any(key.startswith("celery-task-meta-") for key in board.keys(0)), "the task's result")

        # With digests, ids and random names left out, what remains names every kind of key that the board stores.
        def kinds(database: int) -> set[str]:
            return {re.sub(r"[0-9a-z]{16,}.*", "*", key) for key in board.keys(database)}

        assert kinds(1) == {"board:1:views.decorators.cache.cache_page..GET.*",
                            "board:1:views.decorators.cache.cache_header..*"}
        assert kinds(2) == {"session:1:django.contrib.sessions.*"}
        assert kinds(3) == {"jobs:1:listing:*", "jobs:1:listing:generation", "jobs:1:status:demo", "jobs:1:proxies"}
        for database, longest in ((1, 60), (2, 14 * 24 * 3600), (3, 24 * 3600)):
            with redis.Redis.from_url(board.server.url(database)) as client:
                for key in client.scan_iter():
                    assert 0 < client.ttl(key) <= longest, key


def test_sessions_and_listings_come_from_the_cache(board: Board):
    with contextlib.ExitStack() as stack:
        with django_site(DIRECTORY, board.environment) as site, worker(board):
            visitor = stack.enter_context(Visitor(site))
            scrape(visitor)
            wait_for_status(visitor, "demo: finished")
            assert "Database engineer" in visitor.get("/").text
            assert "Database engineer" in visitor.post("/jobs/1/save/").text
            with Visitor(site) as other:
                assert "None yet" in other.get("/saved/").text

        with contextlib.closing(sqlite3.connect(board.database_path)) as database, database:
            database.execute("UPDATE jobs_job SET title = 'Renamed' WHERE id = 1")

        # A new process, so that nothing that it shows comes from the memory of the old one.
        with django_site(DIRECTORY, board.environment) as site:
            visitor.site = site
            assert "Renamed" in visitor.get("/saved/").text
            assert "Renamed" not in visitor.get("/").text

            board.monitor("--clear")
            assert "Renamed" in visitor.get("/saved/").text
            assert "Renamed" in visitor.get("/").text

            board.monitor("--clear", "sessions")
            assert "None yet" in visitor.get("/saved/").text


def test_proxies_are_tried_until_one_works(board: Board, source: Source):
    dead = f"http://127.0.0.1:{free_port()}"
    source.proxies = [dead]
    proxied = {"PROXY_LIST_URL": f"{source.address}/proxies.txt"}
    with django_site(DIRECTORY, board.environment) as site, Visitor(site) as visitor, worker(board, **proxied):
        scrape(visitor)
        wait_for_status(visitor, "demo: failed")
        assert "none of 1 proxies works" in visitor.get("/sources/").text
        assert f"jobs:1:proxy:failed:{dead}" in board.keys(3)
        assert not source.entered.is_set(), "the source was asked directly"

        source.proxies = [dead, source.address]
        board.monitor("--clear", "jobs")
        scrape(visitor)
        wait_for_status(visitor, "demo: finished, 2 found")
        assert source.proxied == [f"{source.address}/jobs.html"]


def test_redis_monitor_shows_the_servers_figures(board: Board):
    with django_site(DIRECTORY, board.environment) as site, Visitor(site) as visitor:
        visitor.get("/statistics/")
        visitor.get("/statistics/")
    text = board.monitor()
    figures = dict(re.split(r": +", line, maxsplit=1) for line in text.splitlines())
    assert re.fullmatch(r"\d+\.\d% \(\d+ hits, \d+ misses\)", figures["Hit rate"]), text
    assert int(re.search(r"(\d+) hits", figures["Hit rate"])[1]) > 0
    assert re.match(r"\d+\.\d+[KM] \(at most \d+\.\d+[KM], fragmentation [\d.]+\)", figures["Memory"]), text
    assert re.fullmatch(r"[1-9]\d* now, [1-9]\d* in all", figures["Connections"]), text
    assert figures["Keys in default"] == "2, 2 of them with a timeout (database 1)"
    assert figures["Keys in sessions"] == "0, 0 of them with a timeout (database 2)"
    assert figures["Keys in jobs"].endswith("(database 3)")

    text = board.monitor("--info")
    for name in ("redis_version", "process_id", "keyspace_hits", "maxmemory_policy", "db1"):
        assert re.search(rf"^{name}: +\S", text, re.MULTILINE), text


def contents(client: redis.Redis) -> dict[bytes, object]:
    """Every key of a database with its value, read by the command of its type."""
    read = {b"string": client.get, b"list": lambda key: client.lrange(key, 0, -1), b"set": client.smembers,
            b"hash": client.hgetall, b"zset": lambda key: client.zrange(key, 0, -1, withscores=True)}
    return {key: read[client.type(key)](key) for key in client.scan_iter()}


def test_clear_leaves_the_brokers_database_alone(board: Board):
    with django_site(DIRECTORY, board.environment) as site, Visitor(site) as visitor:
        visitor.get("/")
        visitor.get("/statistics/")
        scrape(visitor)  # No worker runs, so the task waits in the broker's database.
        with redis.Redis.from_url(board.server.url(0)) as broker:
            assert broker.llen("celery") == 1
            before = contents(broker)

            assert "Cleared default (database 1): 2 keys." in board.monitor("--clear")
            assert (board.keys(1), board.keys(3)) == ([], [])
            board.monitor("--clear", "default", "sessions", "jobs")
            assert contents(broker) == before

            # The same server by another name, with the broker in a cache's database.
            careless = {**board.environment, "CELERY_BROKER_URL": f"redis://localhost:{board.server.port}/3"}
            broker.hset("important", "task", "1")
            broker.move("important", 3)
            refused = manage(DIRECTORY, careless, "redis_monitor", "--clear")
            assert refused.returncode == 1
            assert "shares database 3 with Celery's broker" in refused.stderr
            assert board.keys(3) == ["important"]

        with worker(board):
            wait_for_status(visitor, "demo: finished, 2 found, 2 new")


def test_clear_works_on_protected_databases(board: Board):
    """As conf/quartet.toml ships them. What is not the cache's own stays."""
    with django_site(DIRECTORY, board.environment) as site, Visitor(site) as visitor, redis.Redis.from_url(board.server.url(3)) as jobs:
        visitor.get("/")
        jobs.set("another:user", "kept")
        jobs.config_set("db.3.flush", "protected")
        try:
            assert re.search(r"Cleared jobs \(database 3\): [1-9][0-9]* keys\.", board.monitor("--clear"))
            assert board.keys(3) == ["another:user"]
        finally:
            jobs.config_set("db.3.flush", "allowed")


def test_redis_monitor_says_what_the_server_refuses(board: Board):
    with redis.Redis.from_url(board.server.url()) as admin:
        admin.acl_setuser("reader", enabled=True, nopass=True, keys=["*"], categories=["+@read", "+@connection"], commands=["+info"], reset=True)
        try:
            with redis.Redis.from_url(board.server.url(3)) as jobs:
                jobs.set("jobs:1:x", "1")
            reader = {**board.environment, "REDIS_URL": f"redis://reader:any@127.0.0.1:{board.server.port}"}
            ended = manage(DIRECTORY, reader, "redis_monitor", "--clear")
        finally:
            admin.acl_deluser("reader")
    assert ended.returncode == 1
    assert "refused it" in ended.stderr and "did not answer" not in ended.stderr and "Traceback" not in ended.stderr


def test_redis_monitor_says_when_the_server_is_away(board: Board):
    away = {**board.environment, "REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    ended = manage(DIRECTORY, away, "redis_monitor")
    assert ended.returncode == 1
    assert "did not answer" in ended.stderr and "Traceback" not in ended.stderr
