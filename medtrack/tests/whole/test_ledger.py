"""The comparison itself, on a ledger written by hand, so that the fault tests can trust it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from medtrack.tests.support.builders import claim_all, device_of, dose_due
from medtrack.tests.support.ledger import Comparison, compare, django_rows
from notifications import queue
from notifications.models import NotificationLog
from notifications.queue import PushResult
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials

AGREED = Comparison(lost=[], unknown=[], repeats=0, changed_tags=[], late=[])


@pytest.fixture
def reminders(ana: Credentials) -> list[NotificationLog]:
    """One push for two doses, accepted as message 1."""
    device_of(ana.user, "phone")
    due_at = timezone.now() - timedelta(seconds=1)
    for medicine in ("Metformin", "Aspirin"):
        dose_due(ana.user, due_at, medicine=medicine)
    queue.enqueue()
    (push,) = claim_all().pushes
    queue.mark(
        [
            PushResult(
                push, dict.fromkeys(push.devices, FcmResult(FcmResultKind.ACCEPTED, message_id="1")), None
            )
        ]
    )
    return list(NotificationLog.objects.order_by("id"))


def line(reminder: NotificationLog, name: str = "1", **changes: Any) -> dict[str, Any]:
    """A ledger line as the stand-in writes it."""
    values = {"tag": str(reminder.tag), "at": timezone.now(), "status": 200, "token": "phone", **changes}
    at: datetime = values["at"]
    return {
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "status": values["status"],
        "message": {
            "token": values["token"],
            "data": {"kind": "due", "notification_id": str(reminder.id)},
            "android": {"notification": {"tag": values["tag"]}},
        },
        "name": name,
    }


def test_both_sides_agree(reminders: list[NotificationLog]) -> None:
    refused = line(reminders[0], "0", status=503)
    assert compare([refused, line(reminders[0])], django_rows) == AGREED


def test_what_fcm_does_not_know_is_lost(reminders: list[NotificationLog]) -> None:
    assert compare([], django_rows).lost == ["1"]
    assert compare([line(reminders[0], status=503)], django_rows).lost == ["1"]


def test_what_we_do_not_call_accepted_is_unknown(reminders: list[NotificationLog]) -> None:
    stray = [line(reminders[0], "2", token="another-phone"), line(NotificationLog(tag=reminders[0].tag), "3")]
    assert compare([line(reminders[0]), *stray], django_rows).unknown == ["2", "3"]


def test_a_repeat_is_counted_also_when_another_dose_of_the_push_leads_by_then(
    reminders: list[NotificationLog],
) -> None:
    lost_answer, repeat = line(reminders[0], "0"), line(reminders[1])
    found = compare([lost_answer, repeat], django_rows)
    assert (found.lost, found.unknown, found.repeats) == ([], [], 1)


def test_a_repeat_under_another_tag_and_a_late_one_are_named(reminders: list[NotificationLog]) -> None:
    late = reminders[0].expires_at + timedelta(seconds=3)
    ledger = [line(reminders[0]), line(reminders[0], "2", tag="another"), line(reminders[0], "3", at=late)]
    found = compare(ledger, django_rows)
    assert (found.repeats, found.changed_tags, found.late) == (2, ["2"], ["3"])
