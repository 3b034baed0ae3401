"""The embedded services and `serve` as real processes, with a small project in place of the product."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from medtrack.development.services import environment, ports, postgres

ROOT = Path(__file__).resolve().parents[3]
WAIT_SECONDS = 30

MANAGE = """
import os, sys
os.path.exists("broken") and sys.exit("no such table")
print(f"{sys.argv[1]} was here")
"""
WEB = """
import http.server, os, signal, sys
class Live(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Live).serve_forever()
"""


def clean_environ(**settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not environment.is_setting(name)}
    return {**inherited, "PYTHONPATH": str(ROOT), **settings}


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Serving:
    """One `serve` of the small project."""

    def __init__(self, project: Path, var: Path) -> None:
        self.var = var
        self.port = ports.free_port()
        self.output = project / f"output-{self.port}"
        self.environ = clean_environ(
            PORT=str(self.port), MEDTRACK_VAR=str(var), FIREBASE_PROJECT_ID="none", DEBUG="true"
        )
        self.project = project

    def start(self) -> "Serving":
        self.output.write_text("")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "medtrack.development.services", "serve"],
                cwd=self.project,
                env=self.environ,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(WAIT_SECONDS)

    def until_ready(self) -> "Serving":
        wait_until(lambda: "Ctrl-C stops it" in self.shown or self.process.poll() is not None)
        assert self.process.poll() is None, self.shown
        return self

    @property
    def shown(self) -> str:
        return self.output.read_text()

    def refusal(self) -> str:
        """Starts it, and returns its output when it refuses to run."""
        assert self.start().process.wait(WAIT_SECONDS) == 1
        assert "Traceback" not in self.shown
        return self.shown

    def roles(self) -> dict[str, str | None]:
        """Returns the user of the DATABASE_URL of each process."""
        roles = {}
        for process in of_folder(self.project):
            name = "web" if "web.py" in process.cmdline() else process.name()
            if name in ("web", "sleep"):
                roles[name] = urlsplit(process.environ()["DATABASE_URL"]).username
        return roles

    def connect(self) -> psycopg.Connection:
        saved = dict(line.split("=", 1) for line in (self.var / "environment").read_text().splitlines())
        return psycopg.connect(saved["DATABASE_URL"], autocommit=True)


def of_folder(folder: Path) -> list[psutil.Process]:
    """Returns the processes whose working folder is this one or below it."""
    processes = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return processes


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "a project"
    folder.mkdir()
    (folder / "manage.py").write_text(MANAGE)
    (folder / "web.py").write_text(WEB)
    (folder / "Procfile").write_text(
        "web: python web.py\nworker: sleep 600\nbeat: sh -c 'sleep 600 & wait'\n"
    )
    yield folder
    for process in of_folder(folder):
        process.kill()


@pytest.fixture
def serving_in(project: Path) -> Iterator[Callable[[str], Serving]]:
    made = []

    def serving_in(var: str) -> Serving:
        made.append(Serving(project, project / var))
        return made[-1]

    yield serving_in
    for serving in made:
        serving.stop()


@pytest.fixture
def serving(serving_in: Callable[[str], Serving]) -> Serving:
    return serving_in("var")


class TestServe:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_stops_cleanly_and_leaves_no_process(self, serving, number):
        serving.start().until_ready()

        if number == signal.SIGINT:  # as a terminal sends it
            os.killpg(serving.process.pid, number)
        else:
            serving.process.send_signal(number)

        assert serving.process.wait(WAIT_SECONDS) == 0
        assert "Stopped." in serving.shown
        assert "Traceback" not in serving.shown
        assert of_folder(serving.project) == []

    def test_prints_its_addresses_when_web_answers_and_keeps_its_secrets_private(self, serving):
        serving.start().until_ready()

        assert f"http://localhost:{serving.port}/api/docs/" in serving.shown
        assert "create_demo was here" in serving.shown
        assert "demo_reminder was here" in serving.shown
        connection = HTTPConnection("127.0.0.1", serving.port)
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
        connection.close()
        for name in ("environment", "secret-key"):
            assert (serving.var / name).stat().st_mode & 0o777 == 0o600

    def test_each_process_has_the_database_role_of_its_work(self, serving):
        serving.start().until_ready()

        assert serving.roles() == {"web": "medtrack_web", "sleep": "medtrack_engine"}
        with serving.connect() as connection:  # script/manage migrates
            assert connection.info.user == "postgres"

    def test_a_configured_database_has_one_role_for_all_processes(self, serving):
        serving.environ |= {"DATABASE_URL": "postgresql://only@127.0.0.1:1/one", "DEBUG": "true"}
        serving.start().until_ready()

        assert serving.roles() == {"web": "only", "sleep": "only"}
        assert not (serving.var / "postgres").exists()

    def test_restarts_with_its_data_after_a_kill(self, serving):
        serving.start().until_ready()
        with serving.connect() as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
        secret_key = (serving.var / "secret-key").read_text()
        before = of_folder(serving.project)

        serving.process.kill()
        serving.process.wait()
        serving.start().until_ready()

        assert set(before).isdisjoint(of_folder(serving.project))
        with serving.connect() as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (1,)
        assert (serving.var / "secret-key").read_text() == secret_key

    def test_two_run_side_by_side_but_not_in_one_folder(self, serving, serving_in):
        other = serving_in(f"{'long' * 25}/other var")
        serving.start()
        other.start().until_ready()
        serving.until_ready()

        expected = f"is running in {serving.var} already (process {serving.process.pid})"
        assert expected in serving_in("var").refusal()
        with serving.connect() as one, other.connect() as two:
            assert (
                one.execute("SHOW data_directory").fetchone() != two.execute("SHOW data_directory").fetchone()
            )

    def test_restarts_a_process_that_ends_and_names_it(self, serving):
        (serving.project / "Procfile").write_text("web: python web.py\nworker: sh -c 'sleep 2; exit 7'\n")
        serving.start().until_ready()

        wait_until(lambda: serving.shown.count("worker stopped with exit status 7") == 2)
        assert "It starts again in 2 s." in serving.shown
        assert "It starts again in 4 s." in serving.shown
        assert serving.stop() == 0
        assert of_folder(serving.project) == []

    def test_stops_when_a_process_ends_before_everything_runs(self, serving):
        (serving.project / "Procfile").write_text("web: sleep 600\nworker: sh -c 'exit 7'\n")

        assert "worker stopped with exit status 7" in serving.refusal()
        assert of_folder(serving.project) == []

    def test_stops_when_a_service_ends(self, serving):
        serving.start().until_ready()
        for process in of_folder(serving.var):
            if process.name() == "redis-server":
                process.kill()

        assert serving.process.wait(WAIT_SECONDS) == 1
        assert "Redis was ended by signal 9" in serving.shown
        assert of_folder(serving.project) == []

    def test_names_the_step_that_failed(self, serving):
        (serving.project / "broken").touch()

        refusal = serving.refusal()

        assert "manage.py migrate failed" in refusal
        assert "no such table" in refusal


class TestRefusals:
    def test_a_port_in_use(self, serving):
        with socket.socket() as other:
            other.bind(("127.0.0.1", serving.port))
            other.listen()

            assert serving.refusal() == (
                f"Port {serving.port} is in use; stop the other program or choose another one"
                f" with PORT={serving.port + 1} script/server.\n"
            )

    def test_an_invalid_port(self, serving):
        serving.environ["PORT"] = "http"

        assert "PORT is 'http', which is not a port" in serving.refusal()

    def test_a_file_in_place_of_the_folder(self, serving):
        serving.var.touch()

        assert f"{serving.var}, but there is a file in its place" in serving.refusal()

    @pytest.mark.parametrize("content", ["notes.txt", "PG_VERSION"])
    def test_an_incomplete_data_folder(self, serving, content):
        (serving.var / "postgres").mkdir(parents=True)
        (serving.var / "postgres" / content).write_text("18\n")

        assert "is not a whole PostgreSQL data folder: remove it" in serving.refusal()

    def test_data_of_another_postgresql_version(self, serving):
        (serving.var / "postgres" / "global").mkdir(parents=True)
        (serving.var / "postgres" / "global" / "pg_control").touch()
        (serving.var / "postgres" / "PG_VERSION").write_text("16\n")

        assert "start with PGSERVER_POSTGRES_VERSION=16, remove it" in serving.refusal()

    def test_an_unknown_postgresql_version(self, serving):
        serving.environ["PGSERVER_POSTGRES_VERSION"] = "12"

        assert "choose 15, 16 or 18" in serving.refusal()

    def test_a_machine_without_python(self, tmp_path):
        (tmp_path / "bin").mkdir()
        for name in ("sh", "dirname", "mkdir", "cat", "cksum", "find", "rm", "touch"):
            (tmp_path / "bin" / name).symlink_to(shutil.which(name))
        (tmp_path / "script").mkdir()
        shutil.copy(ROOT / "script" / "bootstrap", tmp_path / "script")
        for name in ("requirements.txt", "requirements-dev.txt"):
            (tmp_path / name).touch()

        ended = subprocess.run(
            [tmp_path / "script" / "bootstrap"],
            env={"PATH": str(tmp_path / "bin")},
            capture_output=True,
            text=True,
            check=False,
        )

        assert ended.returncode == 1
        assert ended.stderr.startswith("MedTrack needs Python 3.11 or newer: install it")
        assert len(ended.stderr.splitlines()) == 1


class TestRun:
    @pytest.fixture
    def temporary(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        folder = tmp_path_factory.mktemp("run")
        yield folder
        left = of_folder(folder)
        for process in left:
            process.kill()
        assert left == []
        assert list(folder.iterdir()) == []

    @contextmanager
    def running(self, temporary: Path, code: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [sys.executable, "-m", "medtrack.development.services", "run", "--", "python", "-c", code],
            cwd=temporary,
            env=clean_environ(TMPDIR=str(temporary), **settings),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    @contextmanager
    def waiting(self, temporary: Path) -> Iterator[subprocess.Popen[str]]:
        code = "import time; print('ready', flush=True); time.sleep(600)"
        with self.running(temporary, code) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process

    @pytest.mark.parametrize(
        "version",
        [
            pytest.param(
                "15",
                marks=pytest.mark.skipif(not postgres.is_installed("15"), reason="Debian's is not there"),
            ),
            "16",
            "18",
        ],
    )
    def test_django_and_psycopg_read_the_urls_alike(self, temporary, version):
        code = (
            "import environ, os, psycopg, redis\n"
            "django = environ.Env().db()\n"
            "for options in ({'conninfo': os.environ['DATABASE_URL']},\n"
            "                {'dbname': django['NAME'], 'user': django['USER'], **django['OPTIONS']}):\n"
            "    row = psycopg.connect(**options).execute('SELECT current_database(), lower(%s)', ['Ä'])\n"
            "    print(*row.fetchone(), row.connection.info.server_version // 10000)\n"
            "print(redis.Redis.from_url(os.environ['REDIS_URL']).ping())\n"
        )
        with self.running(temporary, code, PGSERVER_POSTGRES_VERSION=version) as process:
            output, _ = process.communicate()

        assert output == f"medtrack ä {version}\nmedtrack ä {version}\nTrue\n"
        assert process.returncode == 0

    def test_hides_the_real_settings_and_returns_the_exit_status(self, temporary):
        code = "import os, sys; sys.exit(3 if 'FIREBASE_PROJECT_ID' in os.environ else 5)"
        real = {"DATABASE_URL": "postgresql://real", "FIREBASE_PROJECT_ID": "real"}

        with self.running(temporary, code, **real) as process:
            assert process.wait(WAIT_SECONDS) == 5

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupted_command_leaves_nothing(self, temporary, number):
        with self.waiting(temporary) as process:
            if number == signal.SIGINT:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)

            assert process.wait(WAIT_SECONDS) in (1, 128 + number)

    def test_the_next_run_removes_what_a_killed_run_left(self, temporary):
        with self.waiting(temporary) as process:
            os.killpg(process.pid, signal.SIGKILL)
        assert of_folder(temporary)

        with self.running(temporary, "pass") as process:
            assert process.wait(WAIT_SECONDS) == 0
