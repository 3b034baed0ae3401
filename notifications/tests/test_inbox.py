"""The inbox: one entry for each push, read in all its rows at once."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from dosing.actions.doses import take_dose
from dosing.models import DoseLog
from medtrack.database.clock import database_now
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import (
    PASSWORD,
    claim_all,
    device_of,
    dose_due,
    person,
    push_a_test,
    session_of,
)
from medtrack.tests.support.elapsed_time import move_into_past
from medtrack.tests.support.workers import in_another_worker
from notifications import queue
from notifications.actions import read_all_notifications, read_notification
from notifications.models import NotificationLog
from notifications.queue import Push, PushResult
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials, log_in
from users.models import User

PATH = "/api/v1/notifications"
ACCEPTED = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/p/messages/1")
BUSY = FcmResult(FcmResultKind.RETRY, "UNAVAILABLE", pause=timedelta(seconds=10))
DEAD = FcmResult(FcmResultKind.DEAD, "INVALID_ARGUMENT")


def deliver(outcome: FcmResult = ACCEPTED, *, retry_after: timedelta | None = None) -> list[Push]:
    queue.enqueue()
    queue.enqueue_follow_ups()
    pushes = claim_all().pushes
    queue.mark([PushResult(push, dict.fromkeys(push.devices, outcome), retry_after) for push in pushes])
    return pushes


@pytest.fixture
def due(ana: Credentials) -> list[DoseLog]:
    """Two doses due at one instant, of which one push told Ana's phone."""
    device_of(ana.user)
    at = timezone.now() - timedelta(seconds=1)
    doses = [dose_due(ana.user, at, medicine=name) for name in ("Metformin", "Aspirin")]
    deliver()
    return doses


def inbox(client: Client, query: str = "", **headers: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{PATH}?{query}", **headers)
    assert answer.status_code == 200
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def test_a_push_of_two_doses_to_two_phones_is_one_entry(as_ana: Client, ana: Credentials) -> None:
    device_of(ana.user, "phone")
    log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    device_of(ana.user, "tablet")
    at = timezone.now() - timedelta(seconds=1)
    doses = [dose_due(ana.user, at, medicine=name) for name in ("Metformin", "Aspirin")]
    (push,) = deliver()
    (entry,) = inbox(as_ana)
    assert entry["id"] == push.notification_ids[0]
    assert set(entry["dose_ids"]) == {str(dose.id) for dose in doses} == set(push.dose_ids)
    assert (entry["kind"], entry["title"], entry["body"], entry["read_at"]) == (
        "due",
        "Time for your medicine",
        "2 doses are waiting for you.",
        None,
    )
    assert entry["sent_at"] is not None


def test_each_kind_of_push_is_an_entry_newest_first_and_a_withdrawal_is_none(
    as_ana: Client, ana: Credentials, due: list[DoseLog]
) -> None:
    move_into_past(11)
    deliver()
    push_a_test(device_of(ana.user), now=database_now())
    deliver()
    log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    for dose in due:
        take_dose(dose_id=dose.id, by=ana.user, now=database_now(), session=session_of(ana.user))
    assert {push.kind for push in deliver()} == {"withdraw"}
    assert [entry["kind"] for entry in inbox(as_ana)] == ["test", "follow_up", "due"]
    assert inbox(as_ana)[0]["dose_ids"] == []


def test_what_reached_no_phone_is_no_entry(as_ana: Client, ana: Credentials) -> None:
    device_of(ana.user)
    dose_due(ana.user, timezone.now() - timedelta(seconds=1))
    queue.enqueue()
    assert inbox(as_ana) == []
    deliver(BUSY, retry_after=timedelta(seconds=10))
    assert inbox(as_ana) == []
    NotificationLog.objects.update(retry_at=None)
    deliver(DEAD)
    assert inbox(as_ana) == []
    id = NotificationLog.objects.get().id
    assert as_ana.post(f"{PATH}/{id}/read").status_code == 404


def test_an_entry_names_the_medicines_only_if_a_push_of_today_would(
    as_ana: Client, due: list[DoseLog]
) -> None:
    User.objects.update(private_push_text=False)
    assert inbox(as_ana)[0]["body"] in ("Metformin, Aspirin", "Aspirin, Metformin")
    User.objects.update(private_push_text=True)
    assert "Metformin" not in str(inbox(as_ana))


def test_an_entry_speaks_the_callers_language(as_ana: Client, due: list[DoseLog]) -> None:
    assert inbox(as_ana, HTTP_ACCEPT_LANGUAGE="ko")[0]["title"] == "약 드실 시간입니다"
    User.objects.update(language="ja")
    assert inbox(as_ana)[0]["title"] == "お薬の時間です"


@pytest.mark.parametrize("which", [0, 1])
def test_reading_marks_every_row_of_the_push_and_the_first_time_counts(
    as_ana: Client, due: list[DoseLog], which: int
) -> None:
    id = NotificationLog.objects.order_by("id")[which].id
    (unread,) = inbox(as_ana, "unread=true")
    read = as_ana.post(f"{PATH}/{id}/read").json()
    assert read["read_at"] is not None
    assert read | {"read_at": None} == unread
    assert as_ana.post(f"{PATH}/{id}/read").json() == read
    assert NotificationLog.objects.filter(read_at=None).count() == 0
    assert (inbox(as_ana, "unread=true"), inbox(as_ana, "unread=false"), inbox(as_ana)) == (
        [],
        [read],
        [read],
    )


def test_reading_all_up_to_what_was_seen(as_ana: Client, due: list[DoseLog]) -> None:
    move_into_past(11)
    seen = inbox(as_ana)[0]
    deliver()
    body = {"until": seen["sent_at"]}
    assert as_ana.post(f"{PATH}/read-all", body, format="json").status_code == 204
    assert [entry["kind"] for entry in inbox(as_ana, "unread=true")] == ["follow_up"]
    assert as_ana.post(f"{PATH}/read-all").status_code == 204
    assert inbox(as_ana, "unread=true") == []
    assert NotificationLog.objects.filter(read_at=None).count() == 0


def test_pages_stay_where_they_are_while_pushes_are_sent_and_read(as_ana: Client, ana: Credentials) -> None:
    device_of(ana.user)
    at = timezone.now() - timedelta(minutes=5)
    for number in range(5):
        dose_due(ana.user, at + timedelta(seconds=number), medicine=f"Medicine {number}")
    deliver()
    NotificationLog.objects.update(send_at=at)
    everything = [entry["id"] for entry in inbox(as_ana)]
    assert everything == sorted(everything, reverse=True)
    assert len(everything) == 5
    first = as_ana.get(f"{PATH}?limit=2&unread=true").json()
    for entry in first["results"]:
        as_ana.post(f"{PATH}/{entry['id']}/read")
    dose_due(ana.user, timezone.now() - timedelta(seconds=1), medicine="New")
    deliver()
    second = as_ana.get(f"{PATH}?limit=3&unread=true&cursor={first['next_cursor']}").json()
    found = [entry["id"] for page in (first, second) for entry in page["results"]]
    assert (found, second["has_more"]) == (everything, False)


def test_the_inbox_costs_the_same_queries_however_full(
    as_ana: Client, ana: Credentials, due: list[DoseLog], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(3):
        assert len(inbox(as_ana)) == 1
    for number in range(4):
        dose_due(ana.user, timezone.now() - timedelta(seconds=number), medicine=f"Medicine {number}")
    deliver()
    with django_assert_num_queries(3):
        assert len(inbox(as_ana)) == 5


def test_the_inbox_is_read_along_its_index(ana: Credentials, due: list[DoseLog]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        pushes = NotificationLog.objects.shown_to(ana.user).one_per_push()
        plan = pushes.order_by("-send_at", "-id")[:51].explain()
    assert "notification_logs_of_user" in plan
    assert "Presorted Key" in plan


@pytest.mark.parametrize(
    ("query", "field"),
    [("unread=perhaps", "unread"), ("limit=0", "limit"), ("limit=201", "limit"), ("cursor=x", "cursor")],
)
def test_an_inbox_that_makes_no_sense_is_refused_by_field(as_ana: Client, query: str, field: str) -> None:
    refused = as_ana.get(f"{PATH}?{query}")
    assert (refused.status_code, [error["field"] for error in refused.json()["errors"]]) == (400, [field])


@pytest.mark.parametrize("until", ["yesterday", 5, None, "2026-11-21"])
def test_until_is_an_instant(as_ana: Client, until: object) -> None:
    refused = as_ana.post(f"{PATH}/read-all", {"until": until}, format="json")
    assert (refused.status_code, [error["field"] for error in refused.json()["errors"]]) == (400, ["until"])


def test_an_inbox_is_ones_own(as_ana: Client, as_cleo: Client, as_nobody: Client, due: list[DoseLog]) -> None:
    (entry,) = inbox(as_ana)
    assert inbox(as_cleo) == []
    for id in (entry["id"], uuid4()):
        assert as_cleo.post(f"{PATH}/{id}/read").status_code == 404
    assert as_cleo.post(f"{PATH}/read-all").status_code == 204
    assert inbox(as_ana) == [entry]
    assert as_nobody.get(PATH).status_code == 401
    assert as_nobody.post(f"{PATH}/read-all").status_code == 401
    assert as_nobody.post(f"{PATH}/{entry['id']}/read").status_code == 401


def test_a_reminder_of_a_deleted_medicine_stays(as_ana: Client, due: list[DoseLog]) -> None:
    as_ana.delete(f"/api/v1/medications/{due[0].medication_id}")
    assert len(inbox(as_ana)[0]["dose_ids"]) == 2


@pytest.mark.django_db(transaction=True)
def test_reading_all_waits_for_no_push_that_is_being_marked() -> None:
    ana = person("Ana").user
    device_of(ana)
    doses = [dose_due(ana, timezone.now() - timedelta(seconds=n), medicine=f"M{n}") for n in (1, 2)]
    deliver()
    with transaction.atomic():
        held = NotificationLog.objects.select_for_update().get(dose=doses[0])
        in_another_worker(lambda: read_all_notifications(by=ana, now=database_now()))
    unread = NotificationLog.objects.filter(read_at=None)
    assert [row.id for row in unread] == [held.id]
    read_notification(notification_id=held.id, by=ana, now=database_now())
    assert not unread.all().exists()
