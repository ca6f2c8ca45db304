import pytest
from support.server import Server


@pytest.fixture
def servers():
    """Makes servers, which end and whose directories go with the test."""
    made: list[Server] = []

    def make(*options: str, **more) -> Server:
        server = Server(*options, **more)
        made.append(server)
        return server

    yield make
    for server in made:
        if server.process:
            server.stop()
        server.remove()
