"""The API that a phone waits for: MedTrack against two FastAPI peers, on the same tables, with the same answers.

    .venv/bin/python -m medtrack.development.services run -- .venv/bin/python bench/api.py [--operations day take]
        [--connections 1 16 64] [--seconds 5] [--rounds 3] [--only medtrack]

MedTrack runs as in the Procfile in two web processes, as compose runs it; the peers in two uvicorn processes: bench/peers/conventional.py is what a good team
writes first, bench/peers/bare.py is as fast as FastAPI gets. A thousand people, each with ten medications and eight
doses a day over sixty days, take turns. Before anything is timed the servers' answers are compared, and the rows that
taking a dose leaves; it stops where they differ. The servers take turns in every round. Prints the medians, and the
medians of the rounds' ratios; CPU is in milliseconds per request. The database is PostgreSQL with fsync off.
Needs Debian's package wrk, and for the peers:
python3.11 -m venv var/api-peers && var/api-peers/bin/pip install -r bench/peers/api-requirements.txt
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

import django

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medtrack.settings")
django.setup()

import psutil  # noqa: E402
import requests  # noqa: E402
from api_data import HTTP, Data, Operation, compare, operations  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from medtrack.development.fcm.process import die_with_parent  # noqa: E402
from medtrack.development.services.ports import HOST, free_port  # noqa: E402

SCRIPT = ROOT / "bench" / "api.lua"
UVICORN = ROOT / "var" / "api-peers" / "bin" / "uvicorn"
START_SECONDS = 30
WARM_UP = (16, 1)  # connections, seconds
OURS = "medtrack"
NAMES = {OURS: "MedTrack", "conventional": "FastAPI, conventional", "bare": "FastAPI, bare asyncpg"}

Figures = dict[str, float]


@dataclass
class Server:
    ports: list[int]
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.ports[0]}"


@contextmanager
def server(name: str, directory: Path) -> Iterator[Server]:
    port, log = free_pair(), directory / f"{name}.log"
    command, folder, known = ours(port) if name == OURS else peer(name, port)
    ports = [port, port + 1] if name == OURS else [port]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **known},
        stdout=subprocess.DEVNULL,
        stderr=log.open("w"),
        preexec_fn=die_with_parent,
    )
    try:
        for each in ports:
            wait_for(f"http://{HOST}:{each}", process, log)
        yield Server(ports, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


def free_pair() -> int:
    """A free port whose next one is free as well."""
    while True:
        port = free_port()
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port + 1))
            return port


def ours(port: int) -> tuple[list[str], Path, dict[str, str]]:
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    known = {"GRANIAN_HOST": HOST, "GRANIAN_PORT": str(port), "WEB_PROCESSES": "2"}
    return ["sh", "-c", f"exec {lines['web']}"], ROOT, known


def peer(name: str, port: int) -> tuple[list[str], Path, dict[str, str]]:
    command = [str(UVICORN), f"{name}:app", "--workers", "2", "--host", HOST, "--port", str(port)]
    # A team wants to know who asked what, and so do we; the bare one wants nothing but speed.
    quiet = ["--no-access-log"] if name == "bare" else []
    return command + quiet, ROOT / "bench" / "peers", {}


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            HTTP.get(url, timeout=START_SECONDS, allow_redirects=False)
            return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise SystemExit(f"{process.args} did not start (status {process.poll()}):\n{log.read_text()[-2000:]}")


def load(server: Server, operation: Operation, connections: int, seconds: int, data: Data) -> Figures:
    if operation.method == "POST":
        data.reset()
    before = cpu(server.process), backends()
    # One of wrk's threads for each of our processes, as a proxy would spread connections over them.
    threads = min(2, connections)
    command = [
        "wrk",
        f"-t{threads}",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        str(SCRIPT),
    ]
    command += [server.url, "--", operation.method, operation.path, *data.files]
    known = {**os.environ, "PORTS": " ".join(map(str, server.ports)), "THREADS": str(threads)}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, text=True, timeout=seconds + 30, env=known
    )
    spent = [since(then, now) for then, now in zip(before, (cpu(server.process), backends()), strict=True)]
    found = json.loads(done.stdout.splitlines()[-1])
    if operation.method == "POST":
        check_events(found["requests"] - found["errors"])
    return {
        "rate": found["requests"] / found["seconds"],
        "p50": found["p50"],
        "p99": found["p99"],
        "server": spent[0] / found["requests"] * 1000,
        "database": spent[1] / found["requests"] * 1000,
        "errors": found["errors"],
    }


def cpu(*roots: psutil.Process) -> dict[int, float]:
    """Seconds that these processes and their children have used, by process id."""
    processes = [each for root in roots for each in (root, *root.children(recursive=True))]
    return {each.pid: sum(each.cpu_times()[:2]) for each in processes}


def backends() -> dict[int, float]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return cpu(*(psutil.Process(pid) for (pid,) in cursor.fetchall()))


def since(then: dict[int, float], now: dict[int, float]) -> float:
    return sum(seconds - then.get(pid, 0.0) for pid, seconds in now.items())


def check_events(answered: int) -> None:
    """Each answer has left an event; requests that were cut off at the end may have, too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM dose_events")
        (events,) = cursor.fetchone()
    if events < answered:
        raise SystemExit(f"{answered} doses were taken, but there are only {events} events.")


def measure(servers: dict[str, Server], data: Data, options: argparse.Namespace) -> None:
    failed = False
    print(
        f"{'':<12}{'connections':>11}  {'':<24}{'requests/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}"
        f"{'database':>10}{'errors':>8}   MedTrack : peer"
    )
    for name in options.operations:
        operation = operations(data.today)[name]
        for each in servers.values():
            load(each, operation, *WARM_UP, data)
        for connections in options.connections:
            rounds = [
                {
                    who: load(each, operation, connections, options.seconds, data)
                    for who, each in servers.items()
                }
                for _ in range(options.rounds)
            ]
            show(name, connections, rounds)
            failed |= any(figures["errors"] for found in rounds for figures in found.values())
    if failed:
        raise SystemExit("There were errors, so the figures say little.")


def show(name: str, connections: int, rounds: list[dict[str, Figures]]) -> None:
    for who in rounds[0]:
        middle = {key: median(found[who][key] for found in rounds) for key in rounds[0][who]}
        faster = median(found[OURS]["rate"] / found[who]["rate"] for found in rounds)
        errors = sum(found[who]["errors"] for found in rounds)
        ratio = "" if who == OURS else f"   {faster:.2f}"
        print(
            f"{name:<12}{connections:>11}  {NAMES[who]:<24}{middle['rate']:>10,.0f}{middle['p50']:>9.1f}"
            f"{middle['p99']:>9.1f}{middle['server']:>9.2f}{middle['database']:>10.2f}{errors:>8,.0f}{ratio}",
            flush=True,
        )


def wanted(only: list[str]) -> list[str]:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk (on Debian).")
    if only != [OURS] and not UVICORN.exists():
        raise SystemExit(f"The peers are missing: {(__doc__ or '').strip().splitlines()[-1]}")
    return [OURS, *(name for name in NAMES if name in only and name != OURS)]


def main() -> None:
    today = timezone.now().astimezone(ZoneInfo("Asia/Seoul")).date()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = list(operations(today))
    parser.add_argument("--operations", nargs="+", choices=known, default=known)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="MedTrack always runs")
    options = parser.parse_args()
    names = wanted(options.only)
    call_command("migrate", verbosity=0)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = Data(directory, today)
        servers = {name: stack.enter_context(server(name, directory)) for name in names}
        compare({name: each.url for name, each in servers.items()}, data)
        measure(servers, data, options)


if __name__ == "__main__":
    main()
