import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.server import Server  # noqa: E402
from support.tls import Authority  # noqa: E402


@pytest.fixture(scope="module")
def server():
    """One server for all the tests of a module."""
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate authority for the tests of a module."""
    return Authority(tmp_path_factory.mktemp("tls"))
