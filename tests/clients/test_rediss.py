"""Real clients over TLS: redis-py by `rediss://`, redis-cli and redis-benchmark with `--tls`, Celery with broker and results."""

from __future__ import annotations

import asyncio
import pathlib
import subprocess
import sys
import urllib.parse

import pytest
import redis
import redis.asyncio

from support.background import Background
from support.tls import TlsServer
from support.wait import wait_for

HERE = pathlib.Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("client")


@pytest.fixture(scope="module")
def server(authority):
    """Nobody without a certificate gets in, and there is no other port."""
    with TlsServer(authority, authority.issue("server"), plain=False) as server:
        yield server


@pytest.fixture(scope="module")
def query(authority, certificate):
    """What a `rediss://` address says of certificates."""
    return "?" + urllib.parse.urlencode({"ssl_cert_reqs": "required", "ssl_ca_certs": authority.file, "ssl_certfile": certificate.certificate,
                                         "ssl_keyfile": certificate.key})


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def url(request, server, query):
    return f"rediss://127.0.0.1:{server.tls_port}/0{query}&protocol={request.param}"


def test_redis_py(url):
    with redis.Redis.from_url(url, decode_responses=True) as client:
        client.flushall()
        assert client.set("key", "v" * 100_000) and client.get("key") == "v" * 100_000
        with client.pipeline() as pipe:
            for i in range(1000):
                pipe.incr("counter")
            assert pipe.execute()[-1] == 1000
        with client.lock("lock", timeout=10):
            assert client.exists("lock")
        with client.pubsub() as pubsub:
            pubsub.subscribe("channel")
            assert pubsub.get_message(timeout=10)["type"] == "subscribe"
            client.publish("channel", "message")
            assert pubsub.get_message(timeout=10)["data"] == "message"
        assert client.blpop(["list"], timeout=0.1) is None
        assert client.info("server")["tcp_port"] > 0


def test_redis_py_async(url):
    async def talk() -> list[int]:
        # Each connection loads the certificates anew, which takes this client long.
        client = redis.asyncio.Redis.from_url(url, decode_responses=True, socket_timeout=60, socket_connect_timeout=60)
        await client.delete("async")
        numbers = await asyncio.gather(*(client.incr("async") for _ in range(10)))
        await client.aclose()
        return sorted(numbers)

    assert asyncio.run(talk()) == list(range(1, 11))


def test_without_a_certificate_nobody_gets_in(server, authority):
    with redis.Redis(port=server.tls_port, ssl=True, ssl_ca_certs=str(authority.file)) as client:
        with pytest.raises(redis.ConnectionError):
            client.ping()


def command(name: str, server, authority, certificate) -> list[str]:
    return [name, "-p", str(server.tls_port), "--tls", "--cacert", str(authority.file), "--cert", str(certificate.certificate),
            "--key", str(certificate.key)]


def test_redis_cli(server, authority, certificate):
    cli = command("redis-cli", server, authority, certificate)
    assert subprocess.run([*cli, "ECHO", "hello"], capture_output=True, text=True, timeout=30).stdout == "hello\n"
    requests = "".join(f"SET pipe:{i} {i}\r\n" for i in range(10_000))
    done = subprocess.run([*cli, "--pipe"], input=requests, capture_output=True, text=True, timeout=60)
    assert "errors: 0, replies: 10000" in done.stdout


def test_redis_benchmark(server, authority, certificate):
    benchmark = command("redis-benchmark", server, authority, certificate)
    done = subprocess.run([*benchmark, "-n", "5000", "-c", "20", "-P", "8", "-d", "2000", "-q", "-t", "set,get,lpush,lrange_100"], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0 and "error" not in (done.stdout + done.stderr).lower(), done.stdout + done.stderr
    assert done.stdout.count("requests per second") == 5


def test_celery(server, query):
    environment = {"PROBE_SERVER_URL": f"rediss://127.0.0.1:{server.tls_port}/", "PROBE_SERVER_QUERY": query}
    worker = Background([sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--hostname", "tls@test", "--loglevel", "info",
                         "--concurrency", "2"], cwd=HERE, env=environment)
    caller = """
from celery import chain, chord, group
from celery_app import add, app, total
assert add.delay(2, 3).get(timeout=60) == 5
assert group(add.s(i, i) for i in range(50))().get(timeout=60) == [2 * i for i in range(50)]
assert chord([add.s(i, 1) for i in range(10)], total.s())().get(timeout=60) == 55
assert chain(add.s(1, 2), add.s(3))().get(timeout=60) == 6
assert app.control.ping(timeout=10)
print("all well")
"""
    with worker:
        try:
            wait_for(lambda: "tls@test ready." in worker.read(), "the worker is ready", timeout=60)
        except AssertionError:
            print(worker.read())
            raise
        with Background([sys.executable, "-c", caller], cwd=HERE, env=environment) as run:
            wait_for(lambda: not run.alive(), "the caller is done", timeout=120)
            assert "all well" in run.read(), run.read() + worker.read()
