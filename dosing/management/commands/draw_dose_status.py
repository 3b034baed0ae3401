"""`manage.py draw_dose_status`: writes the diagram of the transition table into the docs."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from dosing.status import EVENT_OF, TRANSITIONS, DoseStatus

FILE: Path = settings.BASE_DIR / "docs" / "dose-status.md"
PAGE = """# The statuses of a dose

Drawn by `manage.py draw_dose_status` from the transition table in `dosing/status.py`. A change that is not in it is
refused with 409 `InvalidTransition`. A change that was made before returns the dose as it is and changes nothing.
Undo of a pending dose takes back its snooze. A different statement about a dose that was taken is 409 `AlreadyRecorded`.

```mermaid
stateDiagram-v2
    [*] --> {initial}: planned
    [*] --> {missed}: planned after its window, in an outage
    [*] --> {taken}: as-needed intake
{arrows}
```

| from | change | to | dose event |
|---|---|---|---|
{rows}
"""


def page() -> str:
    arrows, rows = [], []
    for (status, change), target in TRANSITIONS.items():
        arrows.append(f"    {status} --> {target}: {change}")
        rows.append(
            f"| {status} | {change} | {target} | {EVENT_OF.get(change, 'none: the system settles it')} |"
        )
    return PAGE.format(
        initial=DoseStatus.PENDING,
        missed=DoseStatus.MISSED,
        taken=DoseStatus.TAKEN,
        arrows="\n".join(arrows),
        rows="\n".join(rows),
    )


class Command(BaseCommand):
    help = "Draws docs/dose-status.md from the transition table."

    def handle(self, *args: Any, **options: Any) -> None:
        FILE.write_text(page())
        self.stdout.write(f"Drew {FILE.relative_to(settings.BASE_DIR)}.")
