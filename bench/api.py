"""The API: MedTrack against two FastAPI peers, on the same tables and with the same answers.

    .venv/bin/python -m medtrack.development.services run -- .venv/bin/python bench/api.py [--operations day take]
        [--connections 1 16 64] [--seconds 5] [--rounds 3] [--only medtrack]

MedTrack runs in two web processes, as compose runs it, and the peers in two uvicorn processes each:
bench/peers/conventional.py is what a good team writes first, bench/peers/bare.py is as fast as FastAPI gets. A thousand
users, each with ten medications and eight doses a day over sixty days, send requests in turn. Before the measurement
the servers' answers, and the rows after taking a dose, are compared; the bench stops where they differ. The servers
take turns in every round. Prints medians, and the medians of the rounds' ratios; CPU is in milliseconds per request.
PostgreSQL runs with fsync off. Needs Debian's package wrk, and for the peers:
python3.11 -m venv var/api-peers && var/api-peers/bin/pip install -r bench/peers/api-requirements.txt
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

from support import ROOT, cpu_seconds, cpu_since, database_processes, running, setup_django, with_children

setup_django()

import psutil  # noqa: E402
import requests  # noqa: E402
from api_data import HTTP, Data, Operation, compare, operations  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

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
    """Runs MedTrack or a peer until the end of the block."""
    port, log = free_pair(), directory / f"{name}.log"
    if name == OURS:
        processes = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
        command, folder, ports = ["sh", "-c", f"exec {processes['web']}"], ROOT, [port, port + 1]
    else:
        command = [str(UVICORN), f"{name}:app", "--workers", "2", "--host", HOST, "--port", str(port)]
        # MedTrack logs every request, and so does the conventional peer. The bare one shows the highest speed.
        command += ["--no-access-log"] if name == "bare" else []
        folder, ports = ROOT / "bench" / "peers", [port]
    env = os.environ | {"GRANIAN_HOST": HOST, "GRANIAN_PORT": str(port), "WEB_PROCESSES": "2"}
    with (
        log.open("w") as errors,
        running(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=errors) as process,
    ):
        for each in ports:
            wait_for(f"http://{HOST}:{each}", process, log)
        yield Server(ports, psutil.Process(process.pid))


def free_pair() -> int:
    """Returns a free port whose successor is free, too."""
    while True:
        port = free_port()
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port + 1))
            return port


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
    before = cpu_seconds(with_children(server.process)), cpu_seconds(database_processes(other_clients=True))
    # One thread of wrk for each web process, because a proxy would spread the connections over them.
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
    env = os.environ | {"PORTS": " ".join(map(str, server.ports)), "THREADS": str(threads)}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, text=True, timeout=seconds + 30, env=env
    )
    after = cpu_seconds(with_children(server.process)), cpu_seconds(database_processes(other_clients=True))
    server_cpu, database_cpu = map(cpu_since, before, after)
    summary = json.loads(done.stdout.splitlines()[-1])
    if operation.method == "POST":
        check_events(summary["requests"] - summary["errors"])
    return {
        "rate": summary["requests"] / summary["seconds"],
        "p50": summary["p50"],
        "p99": summary["p99"],
        "server": server_cpu / summary["requests"] * 1000,
        "database": database_cpu / summary["requests"] * 1000,
        "errors": summary["errors"],
    }


def check_events(answered: int) -> None:
    """Checks that every answered request has stored an event; requests that wrk cut off may have, too."""
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
            print_table(name, connections, rounds)
            failed |= any(figures["errors"] for by_server in rounds for figures in by_server.values())
    if failed:
        raise SystemExit("Requests failed, so the figures are not comparable.")


def print_table(name: str, connections: int, rounds: list[dict[str, Figures]]) -> None:
    for who in rounds[0]:
        middle = {key: median(by_server[who][key] for by_server in rounds) for key in rounds[0][who]}
        faster = median(by_server[OURS]["rate"] / by_server[who]["rate"] for by_server in rounds)
        errors = sum(by_server[who]["errors"] for by_server in rounds)
        ratio = "" if who == OURS else f"   {faster:.2f}"
        print(
            f"{name:<12}{connections:>11}  {NAMES[who]:<24}{middle['rate']:>10,.0f}{middle['p50']:>9.1f}"
            f"{middle['p99']:>9.1f}{middle['server']:>9.2f}{middle['database']:>10.2f}{errors:>8,.0f}{ratio}",
            flush=True,
        )


def chosen_servers(only: list[str]) -> list[str]:
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
    all_operations = list(operations(today))
    parser.add_argument("--operations", nargs="+", choices=all_operations, default=all_operations)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="MedTrack always runs")
    options = parser.parse_args()
    names = chosen_servers(options.only)
    call_command("migrate", verbosity=0)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = Data(directory, today)
        servers = {name: stack.enter_context(server(name, directory)) for name in names}
        compare({name: each.url for name, each in servers.items()}, data)
        measure(servers, data, options)


if __name__ == "__main__":
    main()
