"""Runs the tests, without the browser's, at hours and dates at which a careless test fails, and on a busy machine.

script/test --any-hour                      all of these, one after another
script/test --any-hour --only "New York"    those with this text in their names
script/test --any-hour dosing/tests         these tests only; any argument of pytest is passed on
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")
TESTS = ["users", "medications", "dosing", "notifications", "medtrack", "--ignore=medtrack/tests/browser"]
BUSY_LOOPS = 4
# When the tests start, in UTC. Each run takes longer than the minutes until the date or the offset changes.
STARTS = {
    "the end of an ordinary day": datetime(2027, 6, 16, 23, 50, tzinfo=UTC),
    "the end of a year": datetime(2027, 12, 31, 23, 55, tzinfo=UTC),
    "29 February": datetime(2028, 2, 29, 12, 0, tzinfo=UTC),
    "New York, an hour less": datetime(2027, 3, 14, 6, 55, tzinfo=UTC),
    "New York, an hour more": datetime(2027, 11, 7, 5, 55, tzinfo=UTC),
    "London, an hour less": datetime(2027, 3, 28, 0, 55, tzinfo=UTC),
    "London, an hour more": datetime(2027, 10, 31, 0, 55, tzinfo=UTC),
    "Lord Howe, half an hour more": datetime(2027, 4, 3, 14, 55, tzinfo=UTC),
    "Lord Howe, half an hour less": datetime(2027, 10, 2, 15, 25, tzinfo=UTC),
}
BUSY = "a busy machine"


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/test --any-hour", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT")
    options, arguments = parser.parse_known_args()
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        # The account that PostgreSQL runs as reads the library too.
        Path(folder).chmod(0o755)
        library = Path(folder, "clock.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, SOURCE], check=True)
        for name in [*STARTS, BUSY]:
            if options.only not in name:
                continue
            print(f"== {name}", flush=True)
            with ExitStack() as stack:
                if name == BUSY:
                    stack.enter_context(busy_loops())
                    environment = dict(os.environ)
                else:
                    environment = shifted(library, STARTS[name])
                if run_tests(environment, arguments) != 0:
                    failed.append(name)
    print(f"Failed: {', '.join(failed)}" if failed else "Green at any hour")
    return int(bool(failed))


def run_tests(environment: dict[str, str], arguments: list[str]) -> int:
    services = [sys.executable, "-m", "medtrack.development.services", "run", "--"]
    pytest = [sys.executable, "-m", "pytest", "-n", "2", *(arguments or TESTS)]
    return subprocess.run([*services, *pytest], env=environment, check=False).returncode


def shifted(library: Path, start: datetime) -> dict[str, str]:
    """The same offset for all processes: PostgreSQL, Redis, the tests and what they start."""
    offset = round(start.timestamp() - time.time())
    return {**os.environ, "LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}


@contextmanager
def busy_loops() -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY_LOOPS)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    sys.exit(main())
