"""Examples for the API's description: one evening of one person, in the order in which it happens."""

_USER_ID = "01990a4e-6c00-7d3a-9c61-0f2c8c3b7a10"
_MEDICATION_ID = "01990a4f-1b80-7c55-8a0e-5f4f0d9e2b21"
_SCHEDULE_ID = "01990a4f-5230-7f11-b4c9-77aa31c0de32"
_DOSE_ID = "01990a4f-5231-7a08-a1d2-2b9f60e4ac43"

SIGN_UP = {
    "email": "minji@example.com",
    "password": "seven quiet rivers",
    "name": "Minji",
    "timezone": "Asia/Seoul",
    "language": "ko",
    "device_name": "Minji's phone",
}
LOG_IN = {name: SIGN_UP[name] for name in ("email", "password", "device_name")}
FORGOT = {"email": SIGN_UP["email"]}
REFRESH = {"refresh": "AZkKTmxWfIuJa5TIs0XyvE1hZGUtdXAtZm9yLXRoZS1kb2N1bWVudGF0aW9u"}
USER = {
    "id": _USER_ID,
    "email": "minji@example.com",
    "email_verified_at": "2026-11-20T09:05:00Z",
    "name": "Minji",
    "timezone": "Asia/Seoul",
    "language": "ko",
    "provider": "email",
    "private_push_text": True,
    "follow_up_interval_minutes": 10,
    "follow_up_cap": 3,
    "week_start": 1,
    "created_at": "2026-11-20T09:00:00.123456Z",
}
CREDENTIALS = {
    "user": USER,
    "access": "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJtZWR0cmFjayJ9.c2lnbmVk",
    "refresh": REFRESH["refresh"],
    "expires_in": 600,
    "device_secret": "01990a4e6c007d3a9c610f2c8c3b7a10.01990a4e6c117e02b3f45d8a90c1e2f3:c2lnbmVk",
}
NEW_MEDICATION = {
    "id": _MEDICATION_ID,
    "name": "Metformin",
    "dosage": "500 mg",
    "form": "tablet",
    "strength": "500",
    "unit": "mg",
    "color_tag": "#1D9E75",
    "memo": "With a glass of water",
}
MEDICATION = NEW_MEDICATION | {
    "is_active": True,
    "paused_at": None,
    "expires_on": None,
    "created_at": "2026-11-20T09:01:00.123456Z",
    "updated_at": "2026-11-20T09:01:00.123456Z",
}
NEW_SCHEDULE = {
    "id": _SCHEDULE_ID,
    "scheduled_time": "19:30",
    "cycle_type": "weekly",
    "cycle_value": {"days": ["mon", "wed", "fri"], "every": 1},
    "quantity": "1.5",
    "meal_relation": "after",
    "start_date": "2026-11-20",
    "end_date": None,
}
SCHEDULE = NEW_SCHEDULE | {
    "medication_id": _MEDICATION_ID,
    "is_active": True,
    "reminder_enabled": True,
    "next_due_at": "2026-11-23T10:30:00Z",
    "version": 1,
    "created_at": "2026-11-20T09:02:00.123456Z",
    "updated_at": "2026-11-20T09:02:00.123456Z",
}
DOSE = {
    "id": _DOSE_ID,
    "schedule_id": _SCHEDULE_ID,
    "medication": {name: MEDICATION[name] for name in ("id", "name", "dosage", "color_tag")},
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
}
DAY = {"date": "2026-11-20", "timezone": "Asia/Seoul", "results": [DOSE]}
SNOOZE = {"minutes": 15}
TAKE = {
    "event_id": "01990a9d-0d40-7b1e-8f33-91c04f7d1e54",
    "occurred_at": "2026-11-20T10:41:00Z",
    "note": "After dinner",
}
TAKEN_DOSE = DOSE | {
    "status": "taken",
    "taken_at": TAKE["occurred_at"],
    "recorded_by": _USER_ID,
    "note": TAKE["note"],
}
EVENTS = {"events": [{"action": "take", "dose_id": _DOSE_ID, **TAKE}]}
INTAKE = {
    "id": "01990aa0-1f20-7d90-9d07-6a3e5b20cf65",
    "medication_id": _MEDICATION_ID,
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
