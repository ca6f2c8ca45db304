import pytest

from support.raw import RawClient


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
