"""Runs the processes of an example (a site, a worker) beside a test, and leaves none behind."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import requests

from support.server import ROOT, free_port

EXAMPLES = ROOT / "examples"

T = TypeVar("T")


def poll(question: Callable[[], T], what: str, seconds: float = 30) -> T:
    """Asks until the answer is true, and returns it; fails when `seconds` have passed without."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)
    return answer


class Background:
    """A process with all its children, which end together with the `with` block."""

    def __init__(self, *command: str, directory: pathlib.Path, environment: Mapping[str, str]):
        self.command = command
        self.directory = directory
        self.environment = environment

    def __enter__(self) -> Background:
        self.log = tempfile.NamedTemporaryFile(prefix="quartet-test-", suffix=".log")
        # A session of its own, so that the whole group can be ended, children of children included.
        self.process = subprocess.Popen(
            self.command, cwd=self.directory, env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def read_log(self) -> str:
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def wait_until(self, ready: Callable[[], T], what: str, seconds: float = 30) -> T:
        """As `poll`, but fails at once, and with the log, when the process ends."""
        def ask() -> T:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.command} ended before {what}:\n{self.read_log()}")
            return ready()

        try:
            return poll(ask, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.read_log()}") from None


def manage(directory: pathlib.Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `manage.py` to its end. Whether it went well is for the caller to look at."""
    return subprocess.run([sys.executable, "manage.py", *arguments], cwd=directory, env={**os.environ, **environment},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


@contextlib.contextmanager
def django_site(directory: pathlib.Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Runs a Django project's site, and gives its address without the last slash."""
    address = f"127.0.0.1:{free_port()}"
    site = Background(sys.executable, "manage.py", "runserver", "--noreload", address,
                      directory=directory, environment={"PYTHONUNBUFFERED": "1", **environment})

    def answers() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            requests.get(f"http://{address}/", timeout=20)
            return True
        return False

    with site:
        site.wait_until(answers, "the site answers")
        yield f"http://{address}"


@contextlib.contextmanager
def celery_worker(directory: pathlib.Path, environment: Mapping[str, str], *options: str,
                  application: str = "config") -> Iterator[Background]:
    """Runs a Celery worker of the project's application, once it takes tasks."""
    worker = Background(sys.executable, "-m", "celery", "--app", application, "worker", "--loglevel", "INFO", *options,
                        directory=directory, environment=environment)
    with worker:
        worker.wait_until(lambda: " ready." in worker.read_log(), "the worker is ready")
        yield worker


class Visitor:
    """A browser as far as a site can tell: it keeps cookies and sends the token of Django's forms."""

    def __init__(self, site: str):
        self.site = site
        self.session = requests.Session()

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def get(self, path: str, **parameters: object) -> requests.Response:
        return self.session.get(self.site + path, params=parameters, timeout=60)

    def post(self, path: str, **fields: object) -> requests.Response:
        """Sends a form of a page that this visitor has seen, and follows the redirect."""
        token = self.session.cookies.get("csrftoken", "")
        return self.session.post(self.site + path, data={"csrfmiddlewaretoken": token, **fields}, timeout=60)
