"""The whole product as real processes: a database of its own, web, workers, beats and the FCM stand-in.

Tests send requests over HTTP, read its rows with SQL, and kill its processes.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import psycopg
from django.conf import settings
from psycopg.rows import dict_row

from medtrack.database.role_names import role_of
from medtrack.development.fcm.process import FcmStandin, die_with_parent
from medtrack.development.services.ports import free_port
from medtrack.development.services.postgres import url_of_role
from medtrack.tests.support.database_role import server_url
from medtrack.tests.support.own_services import OwnServices

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 90
T = TypeVar("T")


def eventually(probe: Callable[[], T], *, within: float = PATIENCE) -> T:
    """Returns the first true value of `probe`. Raises AssertionError when there is none within so many seconds."""
    deadline = time.monotonic() + within
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {probe.__name__ or probe}")
        time.sleep(0.1)
    return answer


class RunningProduct:
    """Uses the tests' PostgreSQL and Redis, or its own `services`, which a test may stop and start again."""

    def __init__(self, directory: Path, services: OwnServices | None = None, project: Path = ROOT) -> None:
        self.directory = directory
        self.project = project
        self.services = services
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.fcm = self._stack.enter_context(FcmStandin.start(self.directory / "fcm"))
        if self.services:
            self._stack.enter_context(self.services)
            self.dsn, redis_url = self.services.database_url, self.services.redis_url
        else:
            self.dsn, redis_url = self._stack.enter_context(_Database()).dsn, _redis_url()
        self.environment = self._environment(redis_url)
        self.manage("migrate", "--verbosity", "0")
        self.manage("database_roles")
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            self.kill(process)
        self._stack.__exit__(None, None, None)

    def start(self, name: str, **environment: str) -> subprocess.Popen[bytes]:
        """A process of the Procfile, as deployed."""
        commands = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if line)
        program, *arguments = commands[name].split()
        if name == "beat":
            arguments += ["--schedule", str(self.directory / f"beat-{len(self.processes)}")]
        return self.spawn(name, [str(Path(sys.executable).parent / program), *arguments], **environment)

    def spawn(self, name: str, command: list[str], **environment: str) -> subprocess.Popen[bytes]:
        """Starts a command in a session of its own; its output is appended to the log of that name."""
        role = {"DATABASE_URL": url_of_role(self.dsn, role_of(name))}
        with (self.directory / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=self.project,
                env=self.environment | role | environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self.processes.append(process)
        return process

    def open(self) -> None:
        """Starts the web process and waits until it answers."""
        self.start("web")
        eventually(lambda: self.answers("livez"))

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL to the process and all its children."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def manage(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
        """manage.py as the owner of the database, as script/manage runs it."""
        command = [sys.executable, "manage.py", *arguments]
        environ = self.environment | environment
        return subprocess.run(command, cwd=self.project, env=environ, check=True, capture_output=True)

    def api(self, method: str, path: str, body: object = None, *, token: str = "") -> Any:
        headers = {"Content-Type": "application/json", "X-Forwarded-Proto": "https"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://127.0.0.1:{self.port}/api/v1/{path}", data, headers, method=method)
        try:
            with urlopen(request, timeout=20) as response:
                return json.loads(response.read() or b"null")
        except HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from error

    def answers(self, path: str) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def rows(self, sql: str, *params: object) -> list[dict[str, Any]]:
        """As the owner of the database."""
        with psycopg.connect(self.dsn, row_factory=dict_row, autocommit=True) as connection:
            cursor = connection.execute(sql.encode(), params)
            return cursor.fetchall() if cursor.description else []

    def truncate(self, tables: str) -> None:
        """These tables, and those that refer to them, past the triggers that refuse it."""
        with psycopg.connect(self.dsn, options="-c session_replication_role=replica") as connection:
            connection.execute(f"TRUNCATE {tables} CASCADE".encode())

    def violations(self) -> list[dict[str, Any]]:
        """Returns the engine's violations; to be called when nothing is being sent."""
        return self.rows("SELECT invariant, detail, count(*) FROM engine_violations GROUP BY 1, 2")

    def pushes(self) -> list[dict[str, Any]]:
        """The messages that FCM accepted, in order."""
        return [line["message"] for line in self.fcm.ledger() if line["status"] == 200]

    def _environment(self, redis_url: str) -> dict[str, str]:
        account = self.fcm.service_account
        # With `script/test --any-hour` all processes have the same offset.
        clock = {name: os.environ[name] for name in ("LD_PRELOAD", "CLOCK_OFFSET") if name in os.environ}
        return {
            **clock,
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "SECRET_KEY": settings.SECRET_KEY,
            "SECURE_SSL_REDIRECT": "false",
            "DATABASE_URL": self.dsn,
            "REDIS_URL": redis_url,
            "FIREBASE_PROJECT_ID": account["project_id"],
            "FIREBASE_CLIENT_EMAIL": account["client_email"],
            "FIREBASE_PRIVATE_KEY": account["private_key"],
            "FIREBASE_TOKEN_URI": account["token_uri"],
            "FCM_ENDPOINT": self.fcm.url,
            "FCM_BROWSER_URL": self.fcm.browser_url,
            "FCM_CA_FILE": str(self.fcm.certificate_file),
            "MEDTRACK_VAR": str(self.directory),
            "THROTTLES": "signup=100000/60,login=100000/60",
            "GRANIAN_PORT": str(self.port),
            "PYTHONPATH": str(self.project),
        }


class _Database:
    """A new database on the tests' PostgreSQL."""

    def __init__(self) -> None:
        self.name = f"product_{uuid4().hex}"
        self.dsn = server_url(self.name)

    def __enter__(self) -> Self:
        self._run(f"CREATE DATABASE {self.name}")
        return self

    def __exit__(self, *error: object) -> None:
        self._run(f"DROP DATABASE {self.name} WITH (FORCE)")

    def _run(self, sql: str) -> None:
        with psycopg.connect(server_url("postgres"), autocommit=True) as connection:
            connection.execute(sql.encode())


def _redis_url() -> str:
    """A Redis database per test process, so that test processes do not receive each other's tasks."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) + 1
    return f"{settings.REDIS_URL.rsplit('/', 1)[0]}/{number}"
