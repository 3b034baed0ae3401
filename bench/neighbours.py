"""How much one account or address can slow down others: a neighbour reads a day, takes a dose and is reminded.

    .venv/bin/python -m medtrack.development.services run -- .venv/bin/python bench/neighbours.py
        [--scene flushes logins] [--seconds 15] [--through nginx]

Real processes as deployed, with the FCM stand-in. Each scene measures the neighbour for --seconds without and then for
--seconds with the attack, and takes a minute at most. Prints milliseconds of the neighbour's requests, which are sent
one after another, and the lateness of reminders in seconds, from the due time until FCM accepted the push. The goals:
p95 under attack is at most twice that without, and no reminder is more than a second late. The attackers are processes
on the same machine, so that the figures include the CPU time that they take.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from importlib import import_module
from math import ceil
from pathlib import Path
from typing import Any

from support import setup_django

setup_django()

from neighbours_attacks import ATTACKS, Front, attacking  # noqa: E402

from medtrack.tests.support.running_product import RunningProduct, eventually  # noqa: E402

LEAD = 14.0  # seconds until the first dose is due: beat enqueues every ten
PAUSE = 0.05  # seconds between two rounds of the neighbour
MEDICATIONS = 8
RATIO, LATE = 2.0, 1.0
DUE = """
    UPDATE dose_logs SET due_at = to_timestamp(%s), answer_by = to_timestamp(%s) + interval '4 h'
    WHERE id = (
        SELECT d.id FROM dose_logs d JOIN users u ON u.id = d.user_id
        WHERE u.email = %s AND d.status = 'pending' ORDER BY d.due_at DESC LIMIT 1
    )
"""


@dataclass
class Figures:
    """The figures of one phase: the seconds of each request, and how late each reminder was."""

    read: list[float]
    take: list[float]
    late: list[float]


@contextmanager
def front(product: RunningProduct, through: str) -> Iterator[Front]:
    """Yields the address for clients: the port of web, or the proxy of deploy/nginx."""
    if through == "web":
        product.start("web")
        eventually(lambda: product.answers("livez"))
        yield Front(product.port)
        return
    product.start("web", WEB_LISTEN="unix", WEB_PROCESSES="2")
    nginx: Any = import_module("medtrack.tests.support.nginx").Nginx
    with nginx(product.directory / "nginx", sockets=product.directory / "sockets", processes=2) as proxy:
        eventually(proxy.is_ready)
        yield Front(proxy.https_port, str(proxy.certificate))


def zone_after_midnight() -> str:
    """Returns a zone where the day has just begun, so that all its doses are in the future."""
    hours = datetime.now(UTC).hour
    return f"Etc/GMT+{hours}" if hours <= 12 else f"Etc/GMT-{24 - hours}"


class Neighbour:
    """A user with a day of doses, and users who are reminded of one dose each, so that no two share a push."""

    def __init__(self, front: Front, product: RunningProduct, reminders: int) -> None:
        self.front, self.product = front, product
        zone = zone_after_midnight()
        self.access = front.sign_up("neighbour", zone)
        for hour in range(MEDICATIONS):
            self._add_medication(self.access, f"{hour * 2 + 4:02}:00")
        day = front.ask("GET", "doses?date=" + self._today(zone), token=self.access)
        self.path = "doses?date=" + self._today(zone)
        self.dose = day["results"][-1]["id"]
        self.due = [f"reminded-{number}" for number in range(reminders)]
        for name in self.due:
            access = front.sign_up(name, zone)
            self._add_medication(access, "20:00")
            front.ask("POST", "devices", {"token": name, "platform": "android"}, token=access)

    def _add_medication(self, access: str, at: str) -> None:
        medication = self.front.ask("POST", "medications", {"name": "Metformin"}, token=access)
        path = f"medications/{medication['id']}/schedules"
        self.front.ask("POST", path, {"scheduled_time": at}, token=access)

    def _today(self, zone: str) -> str:
        hours = int(zone.removeprefix("Etc/GMT"))
        return (datetime.now(UTC) - timedelta(hours=hours)).date().isoformat()

    def use(self, until: float) -> Figures:
        """Reads the day and takes a dose in turn; a request that fails counts with its time, too."""
        figures = Figures([], [], [])
        while time.time() < until:
            figures.read.append(self._timed("GET", self.path))
            figures.take.append(self._timed("POST", f"doses/{self.dose}/take"))
            self._timed("POST", f"doses/{self.dose}/undo")
            time.sleep(PAUSE)
        return figures

    def _timed(self, method: str, path: str) -> float:
        start = time.perf_counter()
        body = {} if method == "POST" else None
        try:
            self.front.ask(method, path, body, token=self.access, patience=20)
        except (OSError, HTTPException, AssertionError):
            self.failures += 1
        return time.perf_counter() - start

    failures = 0


def run(scene: str, seconds: float, through: str) -> bool:
    """Measures one scene and prints it. Returns whether it meets the goals."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="medtrack-neighbours-")))
        product = stack.enter_context(RunningProduct(directory))
        clients = stack.enter_context(front(product, through))
        product.start("worker")
        product.start("beat")
        each = max(int(seconds / 3), 1)
        neighbour = Neighbour(clients, product, 2 * each)
        attack = ATTACKS[scene](clients)
        starts = [time.time() + LEAD, time.time() + LEAD + seconds + 1]
        due = {}
        for number, name in enumerate(neighbour.due):
            phase, index = divmod(number, each)
            due[name] = starts[phase] + seconds * (index + 0.5) / each
            product.rows(DUE, due[name], due[name], f"{name}@example.com")
        time.sleep(max(starts[0] - time.time(), 0))
        quiet = neighbour.use(starts[0] + seconds)
        with attacking(attack, seconds + 1):
            time.sleep(max(starts[1] - time.time(), 0))
            attacked = neighbour.use(starts[1] + seconds)
        lateness(product, due, starts[1], quiet, attacked)
    return print_table(scene, quiet, attacked, neighbour.failures)


def lateness(product: RunningProduct, due: dict[str, float], attacked_from: float, *phases: Figures) -> None:
    """Waits for every reminder, and adds its lateness to the phase in which it was due."""

    def accepted() -> dict[str, float]:
        return {
            line["message"]["token"]: datetime.fromisoformat(line["at"]).timestamp()
            for line in reversed(product.fcm.ledger())
            if line["status"] == 200
        }

    eventually(lambda: due.keys() <= accepted().keys())
    at = accepted()
    for name, instant in due.items():
        phases[instant >= attacked_from].late.append(at[name] - instant)


def percentile(seconds: list[float], rank: int) -> float:
    return sorted(seconds)[ceil(len(seconds) * rank / 100) - 1]


def print_table(scene: str, quiet: Figures, attacked: Figures, failures: int) -> bool:
    print(f"\n{scene}: {(ATTACKS[scene].__doc__ or '').splitlines()[0]}")
    print(f"{'':<10}{'':<10}{'times':>7}{'p50 ms':>10}{'p95 ms':>10}{'max ms':>10}{'worst late s':>14}")
    worst = {}
    for phase, figures in (("quiet", quiet), ("attacked", attacked)):
        for name, seconds in (("read", figures.read), ("take", figures.take)):
            p50, p95 = (percentile(seconds, rank) * 1000 for rank in (50, 95))
            worst[phase, name] = p95
            late = f"{max(figures.late):>14.2f}" if name == "read" else ""
            print(
                f"{phase:<10}{name:<10}{len(seconds):>7}{p50:>10.1f}{p95:>10.1f}{max(seconds) * 1000:>10.1f}{late}"
            )
    ratios = {name: worst["attacked", name] / worst["quiet", name] for name in ("read", "take")}
    delay = max(attacked.late) - max(quiet.late)
    summary = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    print(f"p95 attacked : quiet {summary}; reminders {delay:+.2f} s; {failures} requests failed")
    return max(ratios.values()) <= RATIO and delay <= LATE and not failures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scene", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--through", choices=["web", "nginx"], default="web")
    options = parser.parse_args()
    if not 2 <= options.seconds <= 20:
        parser.error("--seconds is from 2 to 20, so that a scene takes a minute at most")
    met = [run(scene, options.seconds, options.through) for scene in options.scene]
    print("\nAll scenes meet the goals." if all(met) else "\nNot all scenes meet the goals.")


if __name__ == "__main__":
    main()
