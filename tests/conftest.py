import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.server import Server  # noqa: E402


@pytest.fixture(scope="module")
def server():
    """One server for all the tests of a module."""
    with Server() as running:
        yield running
