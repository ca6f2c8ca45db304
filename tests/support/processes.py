"""Runs the processes of an example (a site, a worker) beside a test, and leaves none behind."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Mapping

import requests

from support.background import Background
from support.server import ROOT, free_port

EXAMPLES = ROOT / "examples"


def manage(directory: pathlib.Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `manage.py` to its end. Whether it went well is for the caller to look at."""
    return subprocess.run([sys.executable, "manage.py", *arguments], cwd=directory, env={**os.environ, **environment},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


@contextlib.contextmanager
def django_site(directory: pathlib.Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Runs a Django project's site, and gives its address without the last slash."""
    address = f"127.0.0.1:{free_port()}"
    site = Background([sys.executable, "manage.py", "runserver", "--noreload", address],
                      cwd=directory, env={"PYTHONUNBUFFERED": "1", **environment})

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
    worker = Background(
        [sys.executable, "-m", "celery", "--app", application, "worker", "--loglevel", "INFO", *options],
        cwd=directory, env=environment)
    with worker:
        worker.wait_until(lambda: " ready." in worker.read(), "the worker is ready")
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
