"""One stand-in process for all tests, and a separate one for each test that stops it."""

from collections.abc import Iterator

import pytest

from medtrack.development.fcm.process import FcmStandin
from medtrack.development.fcm.tests.client import H2Client, access_token


@pytest.fixture(scope="session")
def standin(tmp_path_factory) -> Iterator[FcmStandin]:
    with FcmStandin.start(tmp_path_factory.mktemp("standin")) as running:
        yield running


@pytest.fixture(autouse=True)
def _calm(request) -> Iterator[None]:
    yield
    if "standin" in request.fixturenames:
        running = request.getfixturevalue("standin")
        running.clear_faults()
        running.set_latency(0)


@pytest.fixture(scope="session")
def bearer(standin) -> str:
    return access_token(standin)


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def version(request):
    return request.param


@pytest.fixture
def h2_client(standin, bearer) -> Iterator[H2Client]:
    client = H2Client(standin, bearer)
    yield client
    client.close()


@pytest.fixture
def standin_of_its_own(tmp_path) -> Iterator[FcmStandin]:
    with FcmStandin.start(tmp_path / "own") as running:
        yield running
