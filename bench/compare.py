"""Runs a bench in two checkouts in turn and prints how much faster or slower this one is than the other.

    .venv/bin/python bench/compare.py OTHER BENCH [--runs 5] [--limit 3] [-- ARGUMENT ...]

OTHER is a checkout of another commit (`git worktree add --detach OTHER COMMIT`). BENCH is plan, dispatch, push or api;
each checkout runs its own bench/BENCH.py with the same ARGUMENTs, both with this Python. The runs alternate, and the
checkout that runs first changes each time, so that changes of the machine's load affect both. Prints, for every figure
of MedTrack, the medians, the ratios of the pairs and their median. The exit status is 1 when the median ratio of a
figure is more than --limit percent below 1. All figures are rates: larger is better.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
# The lines with MedTrack's rates: a label, and the number per second.
LINES = {
    "plan": re.compile(r"^median of (?:ours|medtrack)()\s+([\d,]+) doses/s$", re.MULTILINE),
    "dispatch": re.compile(r"^(\d+ process(?:es)?)\s+([\d,]+)/s", re.MULTILINE),
    "push": re.compile(
        r"^(medians at .+ ms|MedTrack send|MedTrack submit, encoded before)\s+(?:messages|[\d,]+)"
        r"\s+(messages/s|[\d,]+) ",
        re.MULTILINE,
    ),
    "api": re.compile(r"^(\w+\s+\d+)\s+MedTrack\s+([\d,]+) ", re.MULTILINE),
}
# The lines with CPU per request, which depend less on the load of the machine: a label, and milliseconds.
CPU_LINES = {
    "api": re.compile(r"^(\w+\s+\d+)\s+MedTrack\s+[\d,]+\s+[\d.]+\s+[\d.]+\s+([\d.]+) ", re.MULTILINE)
}
DEFAULTS = {"push": ["--contenders", "medtrack", "medtrack_encoded"], "api": ["--only", "medtrack"]}


def run(root: Path, bench: str, arguments: list[str]) -> dict[str, float]:
    """Returns the rates by their labels; for CPU, requests per second of CPU."""
    command = [sys.executable, f"bench/{bench}.py", *(arguments or DEFAULTS.get(bench, []))]
    if bench != "push":  # which needs no database
        is_new = (root / "medtrack" / "development" / "services").exists()
        services = "medtrack.development.services" if is_new else "medtrack.embedded"
        command = [sys.executable, "-m", services, "run", "--", *command]
    environ = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environ, stdout=subprocess.PIPE, text=True, check=False)
    rates: dict[str, float] = {}
    title = ""
    for label, number in LINES[bench].findall(done.stdout):
        if label.startswith("medians at"):
            title = f" {label.removeprefix('medians ')}"
        else:
            rates[" ".join(f"{label or bench}{title}".split())] = float(number.replace(",", ""))
    for label, milliseconds in CPU_LINES[bench].findall(done.stdout) if bench in CPU_LINES else ():
        rates[" ".join(f"{label} per CPU s".split())] = 1000 / float(milliseconds)
    if not rates:
        raise SystemExit(f"{' '.join(command)} printed no rate of MedTrack in {root}:\n{done.stdout}")
    if done.returncode:
        # The other checkout's bench may fail at a later step, after MedTrack was measured.
        print(
            f"{bench}.py in {root} ended with status {done.returncode} after these rates: {rates}", flush=True
        )
    return rates


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path)
    parser.add_argument("bench", choices=LINES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--limit", type=float, default=3, help="percent")
    # What follows `--` is for the bench.
    own, arguments = sys.argv[1:], []
    if "--" in own:
        own, arguments = own[: own.index("--")], own[own.index("--") + 1 :]
    options = parser.parse_args(own)
    roots = {"other": options.other.resolve(), "this": ROOT}
    pairs: list[dict[str, dict[str, float]]] = []
    for number in range(options.runs):
        order = ["other", "this"] if number % 2 == 0 else ["this", "other"]
        pairs.append({name: run(roots[name], options.bench, arguments) for name in order})
        print(f"run {number + 1}: {pairs[-1]}", flush=True)

    print(f"\n{options.bench:<40}{'other':>12}{'this':>12}{'this/other':>12}   of each pair")
    is_slower = False
    for label in pairs[0]["this"]:
        ratios = [pair["this"][label] / pair["other"][label] for pair in pairs]
        rates = [median(pair[name][label] for pair in pairs) for name in ("other", "this")]
        each = " ".join(f"{ratio:.3f}" for ratio in ratios)
        print(f"{label:<40}{rates[0]:>12,.0f}{rates[1]:>12,.0f}{median(ratios):>12.3f}   {each}")
        is_slower |= median(ratios) < 1 - options.limit / 100
    print(f"\n{'More' if is_slower else 'Not more'} than {options.limit:g} % slower than {roots['other']}")
    return int(is_slower)


if __name__ == "__main__":
    sys.exit(main())
