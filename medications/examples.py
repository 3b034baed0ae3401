"""Examples for the API documentation, continued from `users.examples`."""

NEW_MEDICATION = {
    "id": "01990a4f-1b80-7c55-8a0e-5f4f0d9e2b21",
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
    "paused_until": None,
    "expires_on": None,
    "version": 1,
    "created_at": "2026-11-20T09:01:00.123456Z",
    "updated_at": "2026-11-20T09:01:00.123456Z",
}
PAUSE = {"until": "2026-12-01T08:00:00Z"}
