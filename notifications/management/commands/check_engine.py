"""`manage.py check_engine`: the nightly check in the foreground, with its progress."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from notifications.violations import INVARIANTS, ViolatedInvariant, violations


class Command(BaseCommand):
    help = (
        "Checks the engine's invariants and prints the ids of the rows that violate them. "
        "The exit status is 1 when there are any."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        violated: list[ViolatedInvariant] = []
        shows_progress = self.stderr.isatty()
        for number, (invariant, broken) in enumerate(violations(), 1):
            violated += broken
            if shows_progress:
                # \x1b[K erases the rest of the line, as the name before may have been longer.
                self.stderr.write(f"\r{number} of {len(INVARIANTS)} checked ({invariant})\x1b[K", ending="")
        if shows_progress:
            self.stderr.write("\r\x1b[K", ending="")
        self.stdout.write(_as_json(violated) if options["json"] else _as_lines(violated))
        if violated:
            raise SystemExit(1)


def _as_lines(violated: list[ViolatedInvariant]) -> str:
    if not violated:
        return "No violations."
    return "\n".join(
        f"{violation.invariant:<12}{violation.count:>9}  {violation.detail}"
        + (f": {', '.join(violation.subjects)}" if violation.subjects else "")
        for violation in violated
    )


def _as_json(violated: list[ViolatedInvariant]) -> str:
    counts: dict[str, int] = dict.fromkeys(INVARIANTS, 0)
    for violation in violated:
        counts[violation.invariant] += violation.count
    details = [
        {
            "invariant": violation.invariant,
            "detail": violation.detail,
            "count": violation.count,
            "subjects": violation.subjects,
        }
        for violation in violated
    ]
    return json.dumps({"violations": sum(counts.values()), "counts": counts, "details": details})
