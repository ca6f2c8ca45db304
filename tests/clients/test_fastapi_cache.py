"""The FastAPI example: its cache facade by itself, then the whole application with a worker and Flower."""

from __future__ import annotations

import datetime
import sys

import httpx
import pytest
import redis

from support.background import Background
from support.server import ROOT, Server, free_port
from support.wait import wait_for

EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(EXAMPLES))

from fastapi_cache.cache import Cache  # noqa: E402


# The facade

@pytest.fixture(params=["json", "pickle"])
def cache(server, request):
    facade = Cache.from_url(server.url(1), prefix=f"test[{request.param}]", ttl=100, serializer=request.param)
    facade.flush()
    yield facade
    facade._client.close()


@pytest.fixture
def raw(server):
    with redis.Redis(port=server.port, db=1) as client:
        yield client


def test_put_and_get(cache, raw):
    for value in ["text", 7, -3, 2.5, True, None, [1, "two"], {"a": {"b": [None]}}]:
        assert cache.put("key", value)
        found = cache.get("key", "default")
        assert found == value and type(found) is type(value)
    name = f"{cache._prefix}:key"
    assert 95 <= raw.ttl(name) <= 100
    cache.put("key", 1, ttl=10)
    assert 5 <= raw.ttl(name) <= 10
    cache.forever("key", 1)
    assert raw.ttl(name) == -1


def test_absent(cache):
    assert cache.get("absent") is None
    assert cache.get("absent", 5) == 5
    assert not cache.has("absent")
    assert not cache.forget("absent")
    assert cache.pull("absent", "nothing") == "nothing"


def test_has_forget_pull(cache):
    cache.put("key", "value")
    assert cache.has("key")
    assert cache.forget("key")
    assert not cache.has("key")
    cache.put("key", "value")
    assert cache.pull("key") == "value"
    assert not cache.has("key")


def test_add_answers_one_caller(cache):
    assert cache.add("key", "first")
    assert not cache.add("key", "second")
    assert cache.get("key") == "first"


def test_remember_computes_once(cache):
    calls = []
    for _ in range(3):
        assert cache.remember("key", 60, lambda: calls.append(1)) is None
    assert calls == [1]


def test_counters(cache, raw):
    assert cache.increment("count") == 1
    assert 95 <= raw.ttl(f"{cache._prefix}:count") <= 100
    assert cache.increment("count", 10) == 11
    assert cache.decrement("count") == 10
    assert cache.get("count") == 10
    cache.put("count", 5)
    assert cache.decrement("count", 7) == -2
    cache.put("count", "not a number")
    assert cache.increment("count") is None


def test_flush_keeps_what_is_not_ours(cache, raw):
    raw.set("foreign", 1)
    raw.set("testj:looks like the pattern", 1)
    for number in range(1200):
        cache.put(f"key:{number}", number)
    assert cache.flush()
    assert not cache.has("key:0") and not cache.has("key:1199")
    assert raw.get("foreign") == b"1" and raw.exists("testj:looks like the pattern")
    assert not [name for name in raw.scan_iter() if name.startswith(cache._prefix.encode())]


def test_tags(cache):
    cache.put("key", "untagged")
    cache.tags("a").put("key", "of a")
    cache.tags("a", "b").put("key", "of a and b")
    assert cache.tags("b", "a").get("key") == "of a and b"
    assert cache.tags("b").get("key") is None
    assert cache.tags("b").flush()
    assert cache.tags("a", "b").get("key") is None
    assert cache.tags("a").get("key") == "of a"
    assert cache.tags("a").increment("count") == 1
    cache.tags("a").flush()
    assert cache.tags("a").get("key") is None
    assert cache.tags("a").get("count") is None
    assert cache.get("key") == "untagged"


def test_flush_during_a_computation_wins(cache):
    tagged = cache.tags("products")

    def compute():
        tagged.flush()  # somebody changes the product after we have read it
        return "old"

    assert tagged.remember("key", 60, compute) == "old"
    assert tagged.get("key") is None


def test_unreadable_entry_is_a_miss(cache, raw):
    raw.set(f"{cache._prefix}:key", b"\x80garbage")
    assert cache.get("key", "default") == "default"
    raw.delete(f"{cache._prefix}:key")
    raw.lpush(f"{cache._prefix}:key", "a list")
    assert cache.get("key", "default") == "default"
    assert cache.remember("key", 60, lambda: "computed") == "computed"


def test_server_away():
    cache = Cache.from_url(f"redis://127.0.0.1:{free_port()}/1", timeout=0.2)
    for facade in (cache, cache.tags("a")):
        assert facade.get("key", "default") == "default"
        assert facade.remember("key", 60, lambda: "computed") == "computed"
        assert facade.pull("key", "default") == "default"
        assert facade.increment("key") is None
        for answer in (facade.put("key", 1), facade.add("key", 1), facade.forever("key", 1), facade.has("key"),
                       facade.forget("key"), facade.flush()):
            assert answer is False


# The application

class Shop:
    """The server, uvicorn, one worker and Flower."""

    def __init__(self):
        self.server = Server("--databases", "16").start()
        self.web_port, self.flower_port = free_port(), free_port()
        environment = {
            "SHOP_BROKER_URL": self.server.url(0), "SHOP_CACHE_URL": self.server.url(1),
            "SHOP_RESULT_URL": self.server.url(3), "FLOWER_UNAUTHENTICATED_API": "true",
        }
        celery = [sys.executable, "-m", "celery", "-A", "fastapi_cache.tasks"]
        commands = [
            [sys.executable, "-m", "uvicorn", "fastapi_cache.app:app", "--host", "127.0.0.1", "--port", str(self.web_port)],
            [*celery, "worker", "--concurrency", "2", "--hostname", "shop@test", "--loglevel", "info"],
            [*celery, "flower", "--address=127.0.0.1", f"--port={self.flower_port}"],
        ]
        self.programs = [Background(command, cwd=EXAMPLES, env=environment) for command in commands]
        self.web = httpx.Client(base_url=f"http://127.0.0.1:{self.web_port}", timeout=30)
        self.flower = httpx.Client(base_url=f"http://127.0.0.1:{self.flower_port}/api", timeout=30)

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.answers(self.web, "/statistics"), "uvicorn answers")
        wait_for(lambda: " ready." in self.programs[1].read(), "the worker is ready")
        wait_for(lambda: self.answers(self.flower, "/workers"), "Flower answers")

    @staticmethod
    def answers(client: httpx.Client, path: str) -> bool:
        try:
            return client.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def queries(self) -> int:
        return self.web.get("/statistics").json()["catalog_queries"]

    def finished(self, task: str, timeout: float = 30) -> dict:
        """The task's answer from the web application, as soon as it has succeeded."""
        def probe():
            answer = self.web.get(f"/tasks/{task}").json()
            assert answer["state"] != "FAILURE", answer
            return answer if answer["state"] == "SUCCESS" else None
        return wait_for(probe, f"task {task}", timeout)

    def close(self) -> None:
        for program in self.programs:
            program.process.terminate()  # all at once, so that their good-byes overlap
        for program in self.programs:
            program.stop()
        self.web.close()
        self.flower.close()
        self.server.stop()
        self.server.remove()


@pytest.fixture(scope="module")
def shop():
    shop = Shop()
    try:
        shop.wait_until_ready()
        yield shop
    finally:
        shop.close()


def test_products_are_read_once(shop):
    shop.web.delete("/cache").raise_for_status()
    before = shop.queries()
    for _ in range(3):
        assert shop.web.get("/products/1").json()["name"] == "notebook"
        assert [product["id"] for product in shop.web.get("/products", params={"search": "note"}).json()] == [1, 4]
        assert shop.web.get("/products/99").status_code == 404
    assert shop.queries() == before + 3


def test_a_write_invalidates(shop):
    shop.web.get("/products/2")
    shop.web.get("/products", params={"search": "pencil"})
    for price in (1.25, 0.9):
        assert shop.web.put("/products/2/price", json={"price": price}).json()["price"] == price
        assert shop.web.get("/products/2").json()["price"] == price
        assert shop.web.get("/products", params={"search": "pencil"}).json()[0]["price"] == price
    assert shop.web.put("/products/99/price", json={"price": 1}).status_code == 404


def test_visits(shop):
    shop.web.delete("/cache").raise_for_status()
    assert [shop.web.post("/products/1/visits").json()["visits"] for _ in range(3)] == [1, 2, 3]


def test_report_now_and_later(shop):
    summary = shop.web.post("/reports/now", json={"title": "now"}).json()
    assert summary["title"] == "now" and summary["count"] == 4
    assert shop.web.get("/reports/now").json() == summary

    ordered = shop.web.post("/reports", json={"title": "later"})
    assert ordered.status_code == 202
    assert shop.finished(ordered.json()["task"])["result"]["title"] == "later"
    assert shop.web.get("/reports/later").json()["count"] == 4
    assert shop.web.get("/reports/never").status_code == 404


def test_countdown_and_eta(shop):
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
    tasks = [shop.web.post("/reports", json=order).json()["task"] for order in
             ({"title": "countdown", "countdown": 2}, {"title": "eta", "eta": soon.isoformat()})]
    assert [shop.web.get(f"/tasks/{task}").json()["state"] for task in tasks] == ["PENDING"] * 2
    for task in tasks:
        shop.finished(task)
    assert datetime.datetime.now(datetime.timezone.utc) >= soon


def test_automatic_retry(shop):
    task = shop.web.post("/notifications", json={"address": "ada@example.org", "failures": 2}).json()["task"]
    assert shop.finished(task)["result"] == {"address": "ada@example.org", "attempts": 3}


def test_flower_shows_workers_and_tasks(shop):
    task = shop.web.post("/notifications", json={"address": "flower@example.org"}).json()["task"]
    shop.finished(task)

    workers = wait_for(lambda: shop.flower.get("/workers", params={"refresh": "1"}).json(), "Flower sees the worker")
    assert list(workers) == ["shop@test"]
    assert {"fastapi_cache.tasks.report", "fastapi_cache.tasks.notify"} <= set(workers["shop@test"]["registered"])
    assert workers["shop@test"]["stats"]["broker"]["transport"] == "redis"
    assert [queue["name"] for queue in workers["shop@test"]["active_queues"]] == ["celery"]

    def seen():
        entry = shop.flower.get("/tasks").json().get(task)
        return entry if entry and entry["state"] == "SUCCESS" else None
    entry = wait_for(seen, "Flower sees the task")
    assert entry["name"] == "fastapi_cache.tasks.notify" and entry["worker"] == "shop@test"

    assert shop.flower.get(f"/task/result/{task}").json()["state"] == "SUCCESS"
    assert shop.flower.get("/queues/length").json()["active_queues"] == [{"name": "celery", "messages": 0}]


def test_requests_work_while_the_server_is_down(shop):
    """The last test of the application: it takes the server away, and gives it back."""
    shop.web.get("/products/1").raise_for_status()
    shop.server.stop()
    before = shop.queries()
    for _ in range(2):
        assert shop.web.get("/products/1").json()["name"] == "notebook"
    assert shop.queries() == before + 2
    assert shop.web.put("/products/1/price", json={"price": 4.75}).json()["price"] == 4.75
    assert shop.web.post("/products/1/visits").json() == {"visits": None}
    assert shop.web.delete("/cache").status_code == 204
    assert shop.web.post("/reports", json={"title": "unheard"}).status_code == 503

    shop.server.start()
    assert shop.web.get("/products/1").json()["price"] == 4.75
    before = shop.queries()
    shop.web.get("/products/1").raise_for_status()
    assert shop.queries() == before
    task = shop.web.post("/reports", json={"title": "after"})
    assert task.status_code == 202
    shop.finished(task.json()["task"])
