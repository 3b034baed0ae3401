"""`script/mutants`: breaks one guarantee of the engine at a time in a copy of the code; the fault tests must notice."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
RED = "RED"
ROW = "{:<20} {:<44} {:>9}"
NOT_COPIED = shutil.ignore_patterns(".*", "var", "__pycache__", "bench", "docs")


@dataclass(frozen=True)
class Edit:
    """Replaces `old`, which must occur exactly once in the file, with `new`."""

    path: str
    old: str
    new: str

    def apply(self, tree: Path) -> None:
        """Raises ValueError when `old` is not in the code any more, so that this edit must be written again."""
        file = tree / self.path
        text = file.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.path} contains this {text.count(self.old)} times: {self.old}")
        file.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Mutant:
    """`faults` are those that must notice it."""

    edits: tuple[Edit, ...]
    faults: tuple[str, ...]


_DISPATCHER = "notifications/dispatcher.py"
_CLAIM = "notifications/sql/claim.sql"
_MOOT_REASON = "notifications/migrations/0011_doses_that_move.py"
_MARK_FIRST = """            for flight in list(self._ready)[:granted]:
                taken = dict.fromkeys(flight.push.devices, FcmResult(FcmResultKind.ACCEPTED, message_id="0"))
                queue.mark([PushResult(flight.push, taken, None)])
"""
_BEFORE_SEND = '            fail_point("before_send")\n'

MUTANTS = {
    "mark first": Mutant(
        (Edit(_DISPATCHER, _BEFORE_SEND, _MARK_FIRST + _BEFORE_SEND),),
        ("SIGKILL before_send",),
    ),
    "no lease": Mutant(
        (Edit(_CLAIM, "statement_timestamp() + %(lease)s", "statement_timestamp() + 0 * %(lease)s"),),
        ("SIGKILL after_send",),
    ),
    "no expiry": Mutant(
        (
            Edit(_MOOT_REASON, "WHEN n.expires_at <= now THEN", "WHEN false THEN"),
            Edit(
                _DISPATCHER,
                "latest = min(lease_end, started + push.expires_at - push.claimed_at)",
                "latest = lease_end",
            ),
        ),
        ("a backlog of two hours",),
    ),
    "no fence": Mutant(
        (Edit("notifications/sql/mark.sql", "AND n.lease_token = r.lease_token ", ""),),
        ("SIGSTOP before the mark, past the lease",),
    ),
    "answers abandoned": Mutant(
        (Edit(_DISPATCHER, "if not self._is_busy() and not self._answered:\n", "if True:\n"),),
        ("PostgreSQL restarted before the next claim",),
    ),
}


def main() -> int:
    print(ROW.format("mutant", "noticed by", "seconds"), flush=True)
    every = tuple(dict.fromkeys(name for mutant in MUTANTS.values() for name in mutant.faults))
    is_good = not _try("none", Mutant((), every))
    for name, mutant in MUTANTS.items():
        is_good &= bool(_try(name, mutant))
    print(
        "Every mutant was noticed." if is_good else "A mutant was not noticed, or a fault fails without one."
    )
    return 0 if is_good else 1


@contextmanager
def mutated(mutant: Mutant) -> Iterator[Path]:
    """A copy of the checkout with the mutant's edits."""
    with tempfile.TemporaryDirectory(prefix="medtrack-mutant-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
        for edit in mutant.edits:
            edit.apply(tree)
        yield tree


def _try(name: str, mutant: Mutant) -> list[str]:
    """Returns the faults that failed."""
    started = time.monotonic()
    with mutated(mutant) as tree:
        command = [sys.executable, "-m", "medtrack.tests.faults", *mutant.faults]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    red = [fault for fault in mutant.faults for line in done.stdout.splitlines() if _is_red(line, fault)]
    if done.returncode != (1 if red else 0) or done.stdout.count("faults, ") != 1:
        raise SystemExit(
            f"The faults did not run with mutant {name!r}:\n{done.stdout}\n{done.stderr[-4000:]}"
        )
    seconds = time.monotonic() - started
    print(ROW.format(name, ", ".join(red) or "nothing", f"{seconds:.1f} s"), flush=True)
    return red


def _is_red(line: str, fault: str) -> bool:
    return line.startswith(f"{fault} ") and line.endswith(RED)


if __name__ == "__main__":
    sys.exit(main())
