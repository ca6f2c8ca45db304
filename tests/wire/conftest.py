import resource

import pytest

from support.raw import RawClient


@pytest.fixture
def many_descriptors():
    """Lets this process hold one end of ten thousand connections and more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_500
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, max(hard, wanted)))


@pytest.fixture(scope="module")
def certificate(authority):
    """The server's."""
    return authority.issue("server")


@pytest.fixture
def connect(server):
    """Makes raw clients of the module's server, which are closed after the test."""
    clients = []

    def make(**options) -> RawClient:
        clients.append(RawClient(server.port, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
