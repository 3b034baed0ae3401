"""The error reports of a real process, which a local server receives in place of Sentry."""

import os
import subprocess
import sys

from medtrack.tests.support.running_product import ROOT
from medtrack.tests.support.sentry import SentrySink

# A view and a task that fail with their arguments and local variables in the exception.
FAIL = """
import django
django.setup()
from unittest import mock
from celery import current_app
from django.test import Client
import medtrack.celery
from notifications import tasks

def fail(**values):
    local = "canary-local"
    raise ValueError(f"canary-message {values}")

body = {"email": "canary-mail@example.com", "password": "canary-password", "name": "canary-name"}
with mock.patch("users.actions.accounts.sign_up", fail):
    client = Client(raise_request_exception=False, headers={"X-Canary": "canary-header"})
    client.cookies["canary-cookie"] = "canary-cookie"
    answer = client.post("/api/v1/auth/signup", body, content_type="application/json")
    assert answer.status_code == 500, answer.content
with mock.patch("notifications.queue.enqueue", fail):
    tasks.enqueue_reminders.apply()
import sentry_sdk
sentry_sdk.flush(10)
"""


def test_an_error_is_reported_with_its_place_and_without_data() -> None:
    with SentrySink() as sentry:
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "medtrack.settings", "SENTRY_DSN": sentry.dsn}
        environment |= {"DEBUG": "true", "ALLOWED_HOSTS": "testserver"}
        subprocess.run(
            [sys.executable, "-c", FAIL], cwd=ROOT, env=environment, check=True, capture_output=True
        )
        events = sentry.events()
        reported = [
            (value["type"], value["stacktrace"]["frames"][-1]["function"], event.get("transaction"))
            for event in events
            for value in event.get("exception", {"values": []})["values"]
        ]
        assert {("ValueError", "fail", "/api/v1/auth/signup")} & set(reported), reported
        assert {("ValueError", "fail", "notifications.tasks.enqueue_reminders")} & set(reported), reported
        reported_text = "".join(sentry.envelopes)
        for canary in ("mail", "password", "name", "header", "cookie", "query", "message", "local"):
            assert f"canary-{canary}" not in reported_text
