"""The sentences of a trace, and the trace through the API."""

import re
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from dosing.models import DoseLog
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import device_of, dose_due
from medtrack.tests.support.elapsed_time import move_into_past
from notifications import queue
from notifications.explanations import REASONS, Reason, TraceCode, VerdictCode, explain
from notifications.models import NotificationLog
from notifications.tests.trace_steps import ACCEPTED, send, take, trace_of
from users.actions import Credentials
from users.models import User


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    """Due a second ago, with a phone to say so and no follow-ups."""
    User.objects.filter(id=ana.user.id).update(follow_up_cap=0)
    device_of(ana.user)
    return dose_due(ana.user, timezone.now() - timedelta(seconds=1))


def test_every_reason_of_the_engine_is_a_reason_of_the_trace_and_no_other(db: None) -> None:
    folder = Path(queue.__file__).parent / "sql"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef('medtrack_moot_reason'::regproc)")
        texts = [*(file.read_text() for file in folder.glob("*.sql")), cursor.fetchone()[0]]
    found = {word for text in texts for word in re.findall(r"(?:THEN|reason =) '(\w+)'", text)}
    others = {"queued", "moot", "dead", "accepted", *queue.Turn}
    assert {word for word in found if not word.isupper()} - others == set(Reason)


SENTENCES = [*TraceCode, *VerdictCode]


@pytest.mark.parametrize("code", SENTENCES, ids=lambda code: f"{type(code).__name__}.{code}")
def test_every_code_has_a_sentence_in_all_three_languages(code: TraceCode | VerdictCode) -> None:
    details = {"time": "08:00", "minutes": "10", "count": "2", "who": "08:00"}
    sentences = set()
    for language in ("ko", "en", "ja"):
        with translation.override(language):
            sentences.add(explain(code, "", details))
    assert len(sentences) == 3
    assert all(len(sentence) > 5 and "%" not in sentence for sentence in sentences)


@pytest.mark.parametrize("reason", [*Reason, *REASONS, "SOME_FCM_CODE"])
def test_every_reason_is_explained_in_all_three_languages(reason: str) -> None:
    sentences = set()
    for language in ("ko", "en", "ja"):
        with translation.override(language):
            bare = explain(VerdictCode.NOT_DELIVERED, "", {})
            sentences.add(explain(VerdictCode.NOT_DELIVERED, reason, {}).removeprefix(bare).strip())
    assert len(sentences) == 3
    assert all(sentences)
    assert reason.islower() or reason in REASONS or all(reason in sentence for sentence in sentences)


def path(dose_id: UUID) -> str:
    return f"/api/v1/doses/{dose_id}/trace"


def test_the_api_tells_the_story_in_the_callers_language(as_ana: Client, dose: DoseLog) -> None:
    queue.enqueue()
    result = as_ana.get(path(dose.id), HTTP_ACCEPT_LANGUAGE="ko").json()
    assert result["dose_id"] == str(dose.id)
    assert result["verdict"] == {
        "code": "waiting_to_be_sent",
        "reason": "",
        "detail": "알림이 전송을 기다리고 있습니다.",
    }
    assert [line["code"] for line in result["decisions"]] == ["planned", "enqueued"]
    reminder = NotificationLog.objects.get()
    assert result["decisions"][1] | {"at": None} == {
        "at": None,
        "code": "enqueued",
        "notification_id": str(reminder.id),
        "kind": "due",
        "step": 0,
        "device_id": None,
        "attempt": None,
        "reason": "",
        "detail": "알림이 대기열에 등록되었습니다.",
    }


def test_times_in_a_sentence_are_those_of_the_persons_clock(ana: Credentials) -> None:
    User.objects.update(timezone="Asia/Seoul")
    dose = dose_due(User.objects.get(), timezone.now().replace(second=0, microsecond=0) + timedelta(hours=1))
    assert dose.due_at is not None
    seoul = dose.due_at + timedelta(hours=9)
    assert (
        trace_of(dose.id).verdict.detail == f"The reminder's time has not come yet: {seoul:%Y-%m-%d %H:%M}."
    )


def test_a_dose_that_a_changed_schedule_took_away_is_still_explained_to_its_owner(
    as_ana: Client, as_cleo: Client, dose: DoseLog
) -> None:
    queue.enqueue()
    DoseLog.objects.all().delete()
    verdict = as_ana.get(path(dose.id)).json()["verdict"]
    assert (verdict["code"], verdict["reason"]) == ("no_longer_wanted", "dose_removed")
    assert as_cleo.get(path(dose.id)).status_code == 404


def test_strangers_and_nobody_read_no_trace(
    as_ana: Client, as_cleo: Client, as_nobody: Client, dose: DoseLog
) -> None:
    queue.enqueue()
    unknown = "00000000-0000-0000-0000-000000000000"
    assert as_ana.get(path(dose.id)).status_code == 200
    assert as_ana.get(path(UUID(unknown))).status_code == 404
    assert as_cleo.get(path(dose.id)).status_code == 404
    assert as_nobody.get(path(dose.id)).status_code == 401


def test_a_long_story_takes_as_many_queries_as_a_short_one(ana: Credentials, dose: DoseLog) -> None:
    queue.enqueue()
    with CaptureQueriesContext(connection) as few:
        trace_of(dose.id)
    for number in range(3):
        device_of(ana.user, f"phone-{number}")
        dose_due(ana.user, dose.due_at or timezone.now(), medicine=f"Medicine {number}")
    User.objects.update(follow_up_cap=3)
    queue.enqueue()
    send(ACCEPTED)
    for _ in range(3):
        move_into_past(11)
        queue.enqueue_follow_ups()
        send(ACCEPTED)
    take(dose)
    queue.enqueue()
    with CaptureQueriesContext(connection) as many:
        assert len(trace_of(dose.id).decisions) > 20
    assert len(many) == len(few) == 8
