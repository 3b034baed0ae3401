"""Sending messages to FCM: MedTrack's transport against firebase-admin and fcm-django, without and with latency.

    .venv/bin/python bench/push.py [--messages 4000] [--all] [--rounds 3] [--latency 0 100] [--standin]
        [--contenders medtrack medtrack_encoded]

Every contender is a process of its own. All send to the same server, nginx with TLS and HTTP/2 (bench/nginx.py says
what to install), and take turns in every round. MedTrack sends 20,000 messages a round, the others 4,000, because they
need ten seconds for them, or 20,000 with --all; each sends 1,000 before the measurement. Prints medians of messages
per second, of CPU milliseconds per message (also the server's) and of peak memory in MB, and the medians of the rounds'
ratios. With --standin the server is the FCM stand-in, which itself reaches some 6,000 messages/s.
fcm-django comes from: .venv/bin/pip install --no-deps --target var/peers -r bench/peers/requirements.txt
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import google.auth.transport.requests
import psutil
import requests
from firebase_admin import credentials
from nginx import PROJECT, nginx
from support import ROOT

from medtrack.development.fcm.process import FcmStandin, die_with_parent

PEERS = ROOT / "var" / "peers"
OURS, OURS_ENCODED = "medtrack", "medtrack_encoded"
CONTENDERS = {
    "send_each": "firebase-admin send_each",
    "send_each_async": "firebase-admin send_each_async",
    "fcm_django": "fcm-django send_message",
    OURS: "MedTrack send",
    OURS_ENCODED: "MedTrack submit, encoded before",
}
OUR_MESSAGES = 20_000
WARM_UP = 1_000
# As long as Google's access tokens; nginx accepts any.
TOKEN = "ya29." + "x" * 1019

Figures = dict[str, float]


@contextmanager
def server(latency_ms: int, is_standin: bool) -> Iterator[tuple[dict[str, str], psutil.Process]]:
    """Yields the environment of the contenders and the server's process."""
    with tempfile.TemporaryDirectory() as directory:
        if not is_standin:
            with nginx(Path(directory), latency_ms=latency_ms) as running:
                environ = contender_environment(running.url, running.ca_file, PROJECT, TOKEN)
                yield environ, psutil.Process(running.pid)
            return
        with FcmStandin.start(Path(directory)) as standin:
            standin.set_latency(latency_ms / 1000)
            project = standin.service_account["project_id"]
            environ = contender_environment(
                standin.url, str(standin.certificate_file), project, token_of(standin)
            )
            yield environ, psutil.Process(standin.process.pid)


def contender_environment(url: str, ca_file: str, project: str, token: str) -> dict[str, str]:
    python = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(PEERS)]),
        "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of Message.token, which is called fid now
    }
    # firebase-admin uses requests and httpx, which must trust the local server's certificate.
    trust = {"REQUESTS_CA_BUNDLE": ca_file, "SSL_CERT_FILE": ca_file}
    bench = {"BENCH_URL": url, "BENCH_CA_FILE": ca_file, "BENCH_PROJECT": project, "BENCH_TOKEN": token}
    return {**os.environ, **python, **trust, **bench}


def token_of(standin: FcmStandin) -> str:
    session = requests.Session()
    session.trust_env, session.verify = False, str(standin.certificate_file)
    credential = credentials.Certificate(standin.service_account).get_credential()
    credential.refresh(google.auth.transport.requests.Request(session=session))
    return str(credential.token)


def cpu_of(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def run(name: str, messages: int, environ: dict[str, str], process: psutil.Process) -> Figures:
    before = cpu_of(process)
    command = [sys.executable, str(ROOT / "bench" / "push_contenders.py"), name, str(messages), str(WARM_UP)]
    done = subprocess.run(
        command, env=environ, stdout=subprocess.PIPE, check=True, text=True, preexec_fn=die_with_parent
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    rate = messages / figures["seconds"]
    print(f"  {CONTENDERS[name]:<32}{messages:>7,} messages {rate:>9,.0f}/s", flush=True)
    return {
        "rate": rate,
        "cpu": figures["cpu"] * 1000 / messages,
        "server": (cpu_of(process) - before) * 1000 / (messages + min(messages, WARM_UP)),
        "memory": figures["memory"],
    }


def compare(latency_ms: int, names: list[str], options: argparse.Namespace) -> None:
    print(f"{latency_ms} ms latency", flush=True)
    rounds: list[dict[str, Figures]] = []
    with server(latency_ms, options.standin) as (environ, process):
        for _ in range(options.rounds):
            counts = {name: OUR_MESSAGES if name.startswith(OURS) else options.messages for name in names}
            rounds.append({name: run(name, counts[name], environ, process) for name in names})
    table(latency_ms, names, counts, rounds)


def table(
    latency_ms: int, names: list[str], counts: dict[str, int], rounds: list[dict[str, Figures]]
) -> None:
    title = f"medians at {latency_ms} ms"
    print(f"\n{title:<32}{'messages':>9}{'messages/s':>12}{'CPU ms each':>13}{'server':>9}{'peak MB':>9}")
    for name in names:
        rate, cpu, served, memory = (
            median(figures[name][key] for figures in rounds) for key in ("rate", "cpu", "server", "memory")
        )
        print(
            f"{CONTENDERS[name]:<32}{counts[name]:>9,}{rate:>12,.0f}{cpu:>13.3f}{served:>9.3f}{memory:>9.0f}"
        )
    for ours in (name for name in names if name.startswith(OURS)):
        for peer in names:
            if not peer.startswith(OURS):
                faster = median(figures[ours]["rate"] / figures[peer]["rate"] for figures in rounds)
                cheaper = median(figures[peer]["cpu"] / figures[ours]["cpu"] for figures in rounds)
                print(f"{CONTENDERS[ours]} / {CONTENDERS[peer]}: {faster:.1f}x as fast, CPU 1/{cheaper:.1f}")
    print(flush=True)


def contenders(names: list[str]) -> list[str]:
    if "fcm_django" in names and not (PEERS / "fcm_django").exists():
        names.remove("fcm_django")
        print(f"without fcm-django: {(__doc__ or '').strip().splitlines()[-1]}")
    return names


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=4_000, help="of each peer in a round")
    parser.add_argument(
        "--all", action="store_const", const=OUR_MESSAGES, dest="messages", help="20,000 of each"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--latency", type=int, nargs="+", default=[0, 100], help="milliseconds")
    parser.add_argument("--standin", action="store_true", help="the stand-in instead of nginx")
    return parser.parse_args()


if __name__ == "__main__":
    chosen = options()
    names = contenders(chosen.contenders)
    for latency_ms in chosen.latency:
        compare(latency_ms, names, chosen)
