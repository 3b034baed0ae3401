"""`serve`: runs everything that the product needs on one machine, in one terminal, until Ctrl-C."""

import http.client
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from honcho.environ import parse_procfile

from medtrack.database.role_names import role_of
from medtrack.development.services import environment, folders, ports, postgres, redis, standin
from medtrack.development.services.console import Console
from medtrack.development.services.processes import Group, StopRequestedError, Supervisor
from medtrack.development.services.refusal import RefusalError, last_lines
from medtrack.development.services.restarts import keep_running

WEB_SECONDS = 60
STEP_SECONDS = 600


def serve(project: Path) -> None:
    """Runs the project whose manage.py and Procfile are in this folder. Returns after a stop signal."""
    var = folders.open_var(os.environ)
    console = Console()
    with folders.used_alone(var):
        try:
            with Supervisor(var / "processes") as supervisor:
                ProductServer(project, var, console, supervisor).run()
        except StopRequestedError:
            console.write("Stopped.")
        finally:
            console.finish()


class ProductServer:
    def __init__(self, project: Path, var: Path, console: Console, supervisor: Supervisor) -> None:
        self.project = project
        self.var = var
        self.console = console
        self.supervisor = supervisor
        self.port = ports.configured_port(os.environ)
        ports.ensure_free(self.port)
        self.environ = environment.for_server(os.environ, var, self.port)
        self.has_roles = False

    def run(self) -> None:
        self.start_services()
        # script/manage reads the settings from this file while the server runs.
        environment_file = self.var / "environment"
        environment.save(environment_file, self.environ)
        self.supervisor.when_done(environment_file.unlink)
        logins = self.prepare_database()
        processes = self.start_processes()
        self.print_addresses(logins)
        keep_running(processes, self.supervisor, self.console)

    def start_services(self) -> None:
        """Starts the services that the environment does not name, and adds their addresses to it."""
        names = set(self.environ)
        if "DATABASE_URL" not in names:
            version = postgres.chosen_version(os.environ)
            self.console.write(f"Starting PostgreSQL {version}")
            url = postgres.start(self.supervisor, self.var, version=version, settings={})
            # The URL of the database's owner, for script/manage. Each process gets the URL of its own role.
            self.environ["DATABASE_URL"] = url
            self.has_roles = True
        if "REDIS_URL" not in names:
            self.console.write("Starting Redis")
            self.environ["REDIS_URL"] = redis.start(self.supervisor, self.var)
        if names.isdisjoint(environment.FIREBASE):
            self.console.write("Starting the FCM stand-in")
            self.environ |= standin.start(
                self.supervisor, self.console, self.var / "fcm", project=self.project, environ=self.environ
            )
        if names.isdisjoint({"DATABASE_URL", "REDIS_URL", *environment.FIREBASE}):
            self.environ.setdefault("DEBUG", "true")

    def prepare_database(self) -> str:
        """Migrates and, in development, creates the demo data. Returns the logins of the demo or nothing."""
        self.console.write("Applying the migrations")
        self.manage("migrate", "--no-input")
        if self.has_roles:
            self.manage("database_roles")
        if not environment.is_debug(self.environ):
            self.console.write("Collecting the static files")
            self.manage("collectstatic", "--no-input")
            return ""
        self.console.write("Creating the demo data")
        return self.manage("create_demo")

    def start_processes(self) -> Group:
        """Returns when the web process answers."""
        commands: dict[str, str] = parse_procfile((self.project / "Procfile").read_text()).processes
        self.console.write(f"Starting {', '.join(commands)}")
        group = self.supervisor.group()
        for name, command in commands.items():
            env = self.environ
            # A database that the caller named has one role for all processes: that of its URL.
            if self.has_roles:
                env = env | {"DATABASE_URL": postgres.url_of_role(env["DATABASE_URL"], role_of(name))}
            # `exec` replaces the shell by the program, so that signals reach the program.
            shell = ["/bin/sh", "-c", f"exec {command}"]
            self.console.relay(group.start(name, shell, env=env, folder=self.project))

        def web_answers() -> bool:
            connection = http.client.HTTPConnection(ports.HOST, self.port, timeout=5)
            try:
                connection.request("GET", "/livez")
                return connection.getresponse().status == http.HTTPStatus.OK
            except (OSError, http.client.HTTPException):
                return False
            finally:
                connection.close()

        self.supervisor.wait_until(
            web_answers, seconds=WEB_SECONDS, otherwise="The web process did not answer on /livez"
        )
        return group

    def print_addresses(self, logins: str) -> None:
        address = f"http://localhost:{self.port}"
        lines = ["", "MedTrack is running; Ctrl-C stops it.", ""]
        lines += [f"  API docs   {address}/api/docs/", f"  Admin      {address}/admin/"]
        if "FCM_CA_FILE" in self.environ:
            lines += [f"  Pushes     below, and in {self.var / 'fcm' / 'ledger.jsonl'}"]
        if logins:
            lines += [f"  Phone      {address}/demo/phone/"]
            next_dose = self.manage("demo_reminder")
            lines += ["", *(f"  {line}" for line in logins.splitlines()), ""]
            lines += [f"{next_dose}; watch for the push below."]
        self.console.write("\n".join([*lines, ""]))

    def manage(self, *arguments: str) -> str:
        """Runs manage.py and returns what it printed. Raises RefusalError with the log when it fails."""
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
                # Not process.wait: a stop signal or the end of a service must interrupt this, too.
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
