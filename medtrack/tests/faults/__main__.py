"""`script/faults`: runs the faults and prints a line for each; fails when one lost or repeated what it must not."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import django

django.setup()

from medtrack.tests.faults.catalogue import FAULTS  # noqa: E402
from medtrack.tests.faults.runner import Report, run  # noqa: E402
from medtrack.tests.faults.stage import Stage  # noqa: E402

FULL = 20
ROW = "{:<44} {:>5} {:>5} {:>8} {:>10} {:>9} {}"
RED = "RED"


def main() -> int:
    options = _parser().parse_args()
    names = list(_chosen(options.names))
    if not names:
        print(f"No fault has this in its name. The faults are: {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    times = FULL if options.full else 1
    print(ROW.format("fault", "times", "lost", "repeats", "explained", "recovery", ""), flush=True)
    with tempfile.TemporaryDirectory() as folder, Stage(Path(folder)) as stage:
        are_good = [_repeat(name, times, stage) for name in names]
    print(f"{len(names)} faults, {are_good.count(False)} of them failed.")
    return 0 if all(are_good) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="script/faults", description=__doc__)
    parser.add_argument("--full", action="store_true", help=f"each of them {FULL} times")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only faults with this in their name")
    return parser


def _chosen(parts: list[str]) -> Iterator[str]:
    return (name for name in FAULTS if not parts or any(part.lower() in name.lower() for part in parts))


def _repeat(name: str, times: int, stage: Stage) -> bool:
    reports = []
    for number in range(1, times + 1):
        if sys.stderr.isatty():
            print(f"\r{name} {number}/{times} …\033[K", end="", file=sys.stderr, flush=True)
        reports.append(run(name, stage))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    print(_line(name, reports), flush=True)
    for report in reports:
        for complaint in report.complaints:
            print(f"    {complaint}", flush=True)
    return all(report.is_good for report in reports)


def _line(name: str, reports: list[Report]) -> str:
    lost, repeats, explained = (
        sum(getattr(report, what) for report in reports) for what in ("lost", "repeats", "explained")
    )
    slowest = max(report.seconds for report in reports)
    mark = "" if all(report.is_good for report in reports) else RED
    return ROW.format(name, len(reports), lost, repeats, explained, f"{slowest:.1f} s", mark).rstrip()


if __name__ == "__main__":
    sys.exit(main())
