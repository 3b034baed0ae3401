"""bench/neighbours.py runs; what it measures is not for a test to judge."""

import os
import re
import subprocess
import sys

from medtrack.tests.support.running_product import ROOT


def test_the_bench_measures_a_neighbour_in_quiet_and_under_attack() -> None:
    command = [sys.executable, "bench/neighbours.py", "--scene", "logins", "--seconds", "2"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ, check=True, capture_output=True, text=True, timeout=300
    )
    for phase in ("quiet", "attacked"):
        for request in ("read", "take"):
            assert re.search(rf"^{phase} +{request}( +[0-9.]+){{4}}", done.stdout, re.MULTILINE), done.stdout
    assert "; 0 requests failed" in done.stdout
