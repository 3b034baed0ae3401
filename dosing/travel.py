"""How a plan goes on after a change of the time zone, as it is stored in the schedule's `travel` (JSON)."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from dosing.cycles import Occurrence, Travel


def travel_from_json(stored: dict[str, Any] | None) -> Travel | None:
    if stored is None:
        return None
    return Travel(
        last_due_at=datetime.fromisoformat(stored["last_due_at"]),
        not_before=datetime.fromisoformat(stored["not_before"]),
        kept=_occurrence(stored["kept"]),
        ordinals={date.fromisoformat(day): ordinal for day, ordinal in stored["ordinals"].items()},
        shift=stored["shift"],
    )


def travel_to_json(travel: Travel | None) -> dict[str, Any] | None:
    if travel is None:
        return None
    kept = travel.kept
    return {
        "last_due_at": travel.last_due_at.isoformat(),
        "not_before": travel.not_before.isoformat(),
        "kept": kept
        and {
            "log_date": kept.log_date.isoformat(),
            "due_at": kept.due_at.isoformat(),
            "quantity": str(kept.quantity),
            "ordinal": kept.ordinal,
        },
        "ordinals": {day.isoformat(): ordinal for day, ordinal in travel.ordinals.items()},
        "shift": travel.shift,
    }


def _occurrence(stored: dict[str, Any] | None) -> Occurrence | None:
    if stored is None:
        return None
    return Occurrence(
        log_date=date.fromisoformat(stored["log_date"]),
        due_at=datetime.fromisoformat(stored["due_at"]),
        quantity=Decimal(stored["quantity"]),
        ordinal=stored["ordinal"],
    )
