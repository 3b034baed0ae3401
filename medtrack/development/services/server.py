"""`serve`: everything that the product needs on one machine, in one terminal, until Ctrl-C."""

import http.client
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from honcho.environ import parse_procfile

from medtrack.database.roles import role_of
from medtrack.development.services import environment, folders, ports, postgres, redis, standin
from medtrack.development.services.console import Console
from medtrack.development.services.processes import Group, StopRequestedError, Supervisor
from medtrack.development.services.refusal import RefusalError, last_lines
from medtrack.development.services.restarts import keep_running

WEB_SECONDS = 60
STEP_SECONDS = 600


def serve(project: Path) -> None:
    """Runs the project whose manage.py and Procfile stand in this folder. Returns when asked to stop."""
    var = folders.open_var(os.environ)
    console = Console()
    with folders.used_alone(var):
        try:
            with Supervisor(var / "processes") as supervisor:
                Server(project, var, console, supervisor).run()
        except StopRequestedError:
            console.say("Stopped.")
        finally:
            console.finish()


class Server:
    def __init__(self, project: Path, var: Path, console: Console, supervisor: Supervisor) -> None:
        self.project = project
        self.var = var
        self.console = console
        self.supervisor = supervisor
        self.port = ports.wanted_port(os.environ)
        ports.ensure_free(self.port)
        self.environ = environment.for_server(os.environ, var, self.port)
        self.has_roles = False

    def run(self) -> None:
        self._start_services()
        self._save_environment()
        logins = self._prepare_database()
        processes = self._start_processes()
        self._announce(logins)
        keep_running(processes, self.supervisor, self.console)

    def _start_services(self) -> None:
        given = set(self.environ)
        if "DATABASE_URL" not in given:
            version = postgres.wanted_version(os.environ)
            self.console.say(f"Starting PostgreSQL {version}")
            url = postgres.start(self.supervisor, self.var, version=version, settings={})
            # The owner's, which script/manage uses too; each process gets its own role's instead.
            self.environ["DATABASE_URL"] = url
            self.has_roles = True
        if "REDIS_URL" not in given:
            self.console.say("Starting Redis")
            self.environ["REDIS_URL"] = redis.start(self.supervisor, self.var)
        if given.isdisjoint(environment.FIREBASE):
            self.console.say("Starting the FCM stand-in")
            self.environ |= standin.start(
                self.supervisor, self.console, self.var / "fcm", project=self.project, environ=self.environ
            )
        if given.isdisjoint({"DATABASE_URL", "REDIS_URL", *environment.FIREBASE}):
            self.environ.setdefault("DEBUG", "true")

    def _save_environment(self) -> None:
        path = self.var / "environment"
        environment.save(path, self.environ)
        self.supervisor.when_done(path.unlink)

    def _prepare_database(self) -> str:
        """Returns how to sign in to the demo."""
        self.console.say("Applying the migrations")
        self._manage("migrate", "--no-input")
        if self.has_roles:
            self._manage("database_roles")
        if not environment.is_debug(self.environ):
            self.console.say("Collecting the static files")
            self._manage("collectstatic", "--no-input")
            return ""
        self.console.say("Looking after the demo data")
        return self._manage("create_demo")

    def _start_processes(self) -> Group:
        commands: dict[str, str] = parse_procfile((self.project / "Procfile").read_text()).processes
        self.console.say(f"Starting {', '.join(commands)}")
        group = self.supervisor.group()
        for name, command in commands.items():
            # The shell gives way to the program, so that a signal reaches it.
            words = ["/bin/sh", "-c", f"exec {command}"]
            self.console.relay(group.start(name, words, env=self._environ_of(name), folder=self.project))
        self.supervisor.wait_until(
            self._web_answers, seconds=WEB_SECONDS, otherwise="The web process did not answer on /livez"
        )
        return group

    def _environ_of(self, process: str) -> dict[str, str]:
        """A database that was given has the one role of its URL for all processes."""
        if not self.has_roles:
            return self.environ
        return self.environ | {
            "DATABASE_URL": postgres.url_of_role(self.environ["DATABASE_URL"], role_of(process))
        }

    def _announce(self, logins: str) -> None:
        address = f"http://localhost:{self.port}"
        lines = ["", "MedTrack is running; Ctrl-C stops it.", ""]
        lines += [f"  API docs   {address}/api/docs/", f"  Admin      {address}/admin/"]
        if "FCM_CA_FILE" in self.environ:
            lines += [f"  Pushes     below, and in {self.var / 'fcm' / 'ledger.jsonl'}"]
        if logins:
            lines += [f"  Phone      {address}/demo/phone/"]
            next_dose = self._manage("demo_reminder")
            lines += ["", *(f"  {line}" for line in logins.splitlines()), ""]
            lines += [f"{next_dose}; watch for the push below."]
        self.console.say("\n".join([*lines, ""]))

    def _manage(self, *arguments: str) -> str:
        """Runs manage.py and returns what it printed."""
        log = self.var / "manage.log"
        with tempfile.TemporaryFile() as output, log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                env=self.environ,
                cwd=self.project,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
            try:
                self.supervisor.wait_until(
                    lambda: process.poll() is not None,
                    seconds=STEP_SECONDS,
                    otherwise=f"manage.py {arguments[0]} did not end",
                )
            finally:
                process.kill()
                process.wait()
            output.seek(0)
            printed = output.read().decode()
        if process.returncode != 0:
            raise RefusalError(f"manage.py {arguments[0]} failed; {log} ends with:{last_lines(log)}")
        return printed.strip("\n")

    def _web_answers(self) -> bool:
        connection = http.client.HTTPConnection(ports.HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
