"""Examples for the API documentation: a person signs up. The other apps continue the story."""

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
    "id": "01990a4e-6c00-7d3a-9c61-0f2c8c3b7a10",
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
TRIP = {
    "id": "01990a50-11d0-7c55-9f0e-4be1a2d07c31",
    "timezone": "America/Los_Angeles",
    "starts_at": "2026-12-20T09:00:00Z",
    "ends_at": "2027-01-03T18:00:00Z",
}
CREDENTIALS = {
    "user": USER,
    "access": "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJtZWR0cmFjayJ9.c2lnbmVk",
    "refresh": REFRESH["refresh"],
    "expires_in": 600,
    "device_secret": "01990a4e6c007d3a9c610f2c8c3b7a10.01990a4e6c117e02b3f45d8a90c1e2f3:c2lnbmVk",
}
