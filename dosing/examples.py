"""Examples for the API documentation, continued from `medications.examples`."""

from typing import Any

from medications.examples import MEDICATION
from users.examples import USER

NEW_SCHEDULE = {
    "id": "01990a4f-5230-7f11-b4c9-77aa31c0de32",
    "scheduled_time": "19:30",
    "timezone": None,
    "cycle_type": "weekly",
    "cycle_value": {"days": ["mon", "wed", "fri"], "every": 1},
    "quantity": "1.5",
    "meal_relation": "after",
    "start_date": "2026-11-20",
    "end_date": None,
}
SCHEDULE = NEW_SCHEDULE | {
    "medication_id": MEDICATION["id"],
    "is_active": True,
    "reminder_enabled": True,
    "next_due_at": "2026-11-23T10:30:00Z",
    "version": 1,
    "created_at": "2026-11-20T09:02:00.123456Z",
    "updated_at": "2026-11-20T09:02:00.123456Z",
}
WRITTEN_SCHEDULE: dict[str, Any] = SCHEDULE | {"warnings": []}
DOSE = {
    "id": "01990a4f-5231-7a08-a1d2-2b9f60e4ac43",
    "schedule_id": NEW_SCHEDULE["id"],
    "medication": {
        name: MEDICATION[name] for name in ("id", "name", "dosage", "strength", "form", "unit", "color_tag")
    }
    | {"current_name": MEDICATION["name"]},
    "log_date": "2026-11-20",
    "scheduled_time": "19:30",
    "due_at": "2026-11-20T10:30:00Z",
    "quantity": "1.5",
    "status": "pending",
    "taken_at": None,
    "snoozed_until": None,
    "recorded_by": None,
    "skip_reason": "",
    "note": "",
    "also_on": None,
}
DAY = {"date": "2026-11-20", "timezone": "Asia/Seoul", "results": [DOSE]}
UPCOMING = {
    "to": "2026-12-04",
    "timezone": "Asia/Seoul",
    "truncated": False,
    "results": [
        {
            "id": DOSE["id"],
            "schedule_id": NEW_SCHEDULE["id"],
            "schedule_version": 1,
            "medication": DOSE["medication"],
            "log_date": "2026-11-20",
            "scheduled_time": "19:30",
            "due_at": "2026-11-20T10:30:00Z",
            "quantity": "1.5",
            "status": "pending",
            "snoozed_until": None,
            "tag": DOSE["id"],
        }
    ],
}
SNOOZE = {"minutes": 15}
TAKE = {
    "event_id": "01990a9d-0d40-7b1e-8f33-91c04f7d1e54",
    "occurred_at": "2026-11-20T10:41:00Z",
    "note": "After dinner",
}
TAKEN_DOSE = DOSE | {
    "status": "taken",
    "taken_at": TAKE["occurred_at"],
    "recorded_by": USER["id"],
    "note": TAKE["note"],
}
EVENTS = {"events": [{"action": "take", "dose_id": DOSE["id"], **TAKE}]}
INTAKE = {
    "id": "01990aa0-1f20-7d90-9d07-6a3e5b20cf65",
    "medication_id": MEDICATION["id"],
    "taken_at": "2026-11-20T11:00:00Z",
    "quantity": "1",
    "note": "Headache",
}
TAKEN_INTAKE = TAKEN_DOSE | {
    "id": INTAKE["id"],
    "schedule_id": None,
    "scheduled_time": None,
    "due_at": None,
    "quantity": INTAKE["quantity"],
    "taken_at": INTAKE["taken_at"],
    "note": INTAKE["note"],
    "over_limit": False,
}
PROGRESS = {
    "period": "daily",
    "period_start": "2026-11-20",
    "period_end": "2026-11-20",
    "due": 1,
    "taken": 1,
    "target": 1,
    "goal_met": True,
}
