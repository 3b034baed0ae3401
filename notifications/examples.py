"""Examples for the API documentation, continued from `dosing.examples`."""

from dosing.examples import NEW_SCHEDULE
from users.examples import USER

NEW_DEVICE = {
    "token": "fAcE0fMiNjIsPhOnE:APA91bFcm-registration-token",
    "platform": "android",
    "device_id": "minjis-phone",
    "app_version": "1.4.0",
}
DEVICE = {
    "id": "01990a4e-9f10-7e42-8b6d-3d58a7e19f76",
    "platform": "android",
    "device_id": "minjis-phone",
    "app_version": "1.4.0",
    "last_seen_at": "2026-11-20T09:00:30.123456Z",
    "silent_since": None,
    "revoked_at": None,
    "revoke_reason": "",
    "created_at": "2026-11-20T09:00:30.123456Z",
}
REMINDING = {
    "quiet_hours": {"start_time": "22:00", "end_time": "07:00"},
    "private_push_text": True,
    "follow_up_interval_minutes": 10,
    "follow_up_cap": 3,
}
PRESENCE = {
    "schedule_id": NEW_SCHEDULE["id"],
    "date": "2026-11-24",
    "ordinal": 0,
    "dose_id": "01a20ada-2c00-8859-a42a-602e83a81053",
    "code": "edited",
    "detail": (
        "The schedule was edited by Minji at 2026-11-22 20:15: Tuesday 2026-11-24 is no longer one of its days."
    ),
    "due_at": "2026-11-24T10:30:00Z",
    "changed_at": "2026-11-22T11:15:00.123456Z",
    "changed_by": USER["id"],
    "trace": None,
}
