"""`manage.py check_engine`: the nightly check in the foreground, with its progress."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from notifications.violations import INVARIANTS, Violation, violations


class Command(BaseCommand):
    help = "Checks the engine's invariants and names what breaks them by id. The exit code is 1 when something does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        found = self._check(shows_progress=self.stderr.isatty())
        self.stdout.write(_as_json(found) if options["json"] else _as_lines(found))
        if found:
            raise SystemExit(1)

    def _check(self, *, shows_progress: bool) -> list[Violation]:
        found: list[Violation] = []
        for number, (invariant, broken) in enumerate(violations(), 1):
            found += broken
            if shows_progress:
                self.stderr.write(f"\r{number} of {len(INVARIANTS)} checked ({invariant})\x1b[K", ending="")
        if shows_progress:
            self.stderr.write("\r\x1b[K", ending="")
        return found


def _as_lines(found: list[Violation]) -> str:
    if not found:
        return "No violations."
    return "\n".join(
        f"{violation.invariant:<12}{violation.count:>9}  {violation.detail}"
        + (f": {', '.join(violation.subjects)}" if violation.subjects else "")
        for violation in found
    )


def _as_json(found: list[Violation]) -> str:
    counts: dict[str, int] = dict.fromkeys(INVARIANTS, 0)
    for violation in found:
        counts[violation.invariant] += violation.count
    details = [
        {
            "invariant": violation.invariant,
            "detail": violation.detail,
            "count": violation.count,
            "subjects": violation.subjects,
        }
        for violation in found
    ]
    return json.dumps({"violations": sum(counts.values()), "counts": counts, "details": details})
