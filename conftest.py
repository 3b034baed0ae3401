"""Fixtures of all tests. Ana owns the objects, Cleo is another user who must not see them, Ben is a third one."""

import gc
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.management.commands import flush
from django.db import connection
from django.test.client import ClientHandler
from django.utils import translation
from pytest_django import DjangoDbBlocker, Settings

from medtrack.celery import app
from medtrack.database.owner import connected_as
from medtrack.development.fcm.process import FcmStandin
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import person
from medtrack.tests.support.database_role import OWNER, TESTS, as_web, create_tests_role, past_triggers
from users import hashing
from users.actions import Credentials

# The same examples in every run, however slow the machine is. `--hypothesis-profile default` draws others.
hypothesis.settings.register_profile(
    "seeded", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("seeded")


def pytest_collection_finish() -> None:
    # Collecting garbage takes a tenth of the tests' time otherwise: some of them make hundreds of thousands of objects,
    # and each full collection looks at those of all imported modules, too.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The owner creates the test database; the tests have the privileges of web and engine only."""
    # pytest-django creates no database when none of the selected tests uses one.
    if not str(connection.settings_dict["NAME"]).startswith("test_"):
        yield
        return
    with django_db_blocker.unblock():
        call_command("database_roles", stdout=StringIO())
        create_tests_role()
        with connected_as(USER=TESTS), pytest.MonkeyPatch.context() as patch:
            patch.setattr(django_settings, "DATABASE_OWNER", {"USER": OWNER})
            # Between tests with transactions of their own all tables are emptied.
            patch.setattr(flush.Command, "handle", past_triggers(flush.Command.handle))
            patch.setattr(ClientHandler, "__call__", as_web(ClientHandler.__call__))
            connection.close()
            yield


@pytest.fixture(autouse=True)
def _static_files(settings: Settings) -> None:
    """Static files are collected into the image, not in tests."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}


@pytest.fixture(autouse=True)
def _language() -> Iterator[None]:
    """Resets the language that a request activated in this thread."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _throttles(settings: Settings) -> None:
    """Each test has its own counters in Redis."""
    settings.THROTTLE_PREFIX = f"throttle-{uuid4().hex}"


@pytest.fixture(autouse=True)
def _password_alone(settings: Settings) -> None:
    """Staff sign in with the password only, as in development; tests of the second factor require it themselves."""
    settings.STAFF_SECOND_FACTOR = False


@pytest.fixture(autouse=True)
def _password_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine needs long for several hashes; the test of the time limit sets its own."""
    monkeypatch.setattr(hashing, "WAIT_SECONDS", 60)


@pytest.fixture
def ana(db: None) -> Credentials:
    return person("Ana")


@pytest.fixture
def ben(db: None) -> Credentials:
    return person("Ben")


@pytest.fixture
def cleo(db: None) -> Credentials:
    return person("Cleo")


@pytest.fixture
def as_ana(ana: Credentials) -> Client:
    return Client(ana)


@pytest.fixture
def as_cleo(cleo: Credentials) -> Client:
    return Client(cleo)


@pytest.fixture
def as_nobody(db: None) -> Client:
    return Client()


@pytest.fixture(scope="session")
def fcm_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FcmStandin]:
    with FcmStandin.start(tmp_path_factory.mktemp("fcm")) as standin:
        yield standin


@pytest.fixture
def fcm(fcm_process: FcmStandin) -> FcmStandin:
    """The FCM stand-in, a real process, without faults and with an empty ledger."""
    fcm_process.clear_faults()
    fcm_process.set_latency(0)
    ledger: Path = fcm_process.directory / "ledger.jsonl"
    ledger.write_text("")
    return fcm_process


@pytest.fixture
def mail_worker(settings: Settings) -> Iterator[None]:
    """Sends mails at once, into Django's outbox."""
    settings.EMAIL_URL, settings.APP_URL = "memorymail://", "https://app.example.org"
    app.conf.task_always_eager = app.conf.task_eager_propagates = True
    yield
    app.conf.task_always_eager = app.conf.task_eager_propagates = False
