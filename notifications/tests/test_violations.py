"""Every invariant broken once, and a lively house in which none is."""

import json
from collections.abc import Callable
from datetime import datetime, time, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.utils import timezone

from dosing.actions.accounts import update_profile
from dosing.actions.doses import skip_dose, snooze_dose, take_dose, undo_dose
from dosing.actions.schedules import pause_medication, resume_medication, update_schedule
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.settling import settle
from medications.models import Medication
from medtrack.database.clock import database_now
from medtrack.tests.support.builders import (
    PASSWORD,
    claim_all,
    device_of,
    dose_due,
    medication_of,
    person,
    revoked,
    schedule_at,
    session_of,
)
from medtrack.tests.support.database_role import OWNER, acting_as
from medtrack.tests.support.elapsed_time import move_into_past
from notifications import queue
from notifications.judgement import Judge
from notifications.models import DeviceToken, EngineCheck, NotificationLog, PushDelivery
from notifications.queue import MAX_PUSHES_BESIDES_DUE, PushResult
from notifications.tasks import check_engine
from notifications.transports.results import FcmResult, FcmResultKind
from notifications.violations import violations
from users.actions import Credentials, log_in, log_out
from users.models import User

ACCEPTED = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/p/messages/1")


BUSY = FcmResult(FcmResultKind.RETRY, "UNAVAILABLE", pause=timedelta(seconds=10))


GONE = FcmResult(FcmResultKind.REVOKE, "UNREGISTERED")


def ago(**span: float) -> datetime:
    return timezone.now() - timedelta(**span)


def found() -> list[tuple[str, str]]:
    return [(each.invariant, each.detail) for _, broken in violations() for each in broken]


def run(sql: str, *params: Any) -> None:
    """As the owner, who may do what the engine may not."""
    with acting_as(OWNER), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks to come cannot be altered
        cursor.execute(sql, params or None)


def run_unguarded(sql: str, *params: Any) -> None:
    """Past the triggers that keep final states and events as they are."""
    run("SET LOCAL session_replication_role = replica")
    run(sql, *params)
    run("SET LOCAL session_replication_role = origin")


def send(outcome: FcmResult = ACCEPTED, *, retry_after: timedelta | None = None) -> list[queue.Push]:
    """What the dispatcher does, with this answer of FCM to everything."""
    queue.enqueue()
    queue.enqueue_follow_ups()
    pushes = claim_all().pushes
    held = [push for push in pushes if push.held_until]
    if held:
        queue.hold(held)
    sent = [push for push in pushes if not push.held_until]
    results = [PushResult(push, dict.fromkeys(push.devices, outcome), retry_after) for push in sent]
    queue.mark(results)
    Judge("a-project").settle(results)
    return sent


@pytest.fixture
def sent(ana: Credentials) -> NotificationLog:
    """A dose due twenty minutes ago, whose reminder one phone got."""
    device_of(ana.user)
    dose_due(ana.user, ago(seconds=1))
    send()
    move_into_past(20)
    return NotificationLog.objects.get()


def test_nothing_is_wrong_with_a_reminder_that_was_sent(sent: NotificationLog) -> None:
    assert (sent.status, found()) == ("accepted", [])


def forget_to_plan() -> None:
    Schedule.objects.update(planned_until=ago(minutes=11))


def set_aside_for_long() -> None:
    Schedule.objects.update(planned_until=ago(hours=25), plan_error="InvalidCycle")


def lose_a_date() -> None:
    """A daily schedule that has existed for long and has no doses."""
    run("UPDATE users SET updated_at = now() - interval '30 days'")
    run("UPDATE medications SET updated_at = now() - interval '30 days'")
    run(
        "UPDATE schedules SET created_at = now() - interval '30 days', updated_at = now() - interval '30 days', "
        "start_date = current_date - 30, end_date = NULL"
    )


def lose_the_reminder() -> None:
    NotificationLog.objects.all().delete()
    PushDelivery.objects.all().delete()


def lose_the_reminder_of_yesterday() -> None:
    lose_the_reminder()
    move_into_past(24 * 60)
    DoseLog.objects.update(status="missed", log_date=F("log_date") - timedelta(days=1))
    run("UPDATE schedules SET updated_at = now() - interval '9 days'")
    run("UPDATE medications SET updated_at = now() - interval '9 days'")
    run("UPDATE users SET updated_at = now() - interval '9 days'")
    run("UPDATE dose_logs SET created_at = now() - interval '9 days'")


def deliver_nothing() -> None:
    run_unguarded("UPDATE push_deliveries SET outcome = 'dead', message_id = '', error_code = 'UNSENDABLE'")


def leave_a_phone_out() -> None:
    """It was there before the reminder was claimed."""
    other = device_of(User.objects.get(), "second-phone")
    DeviceToken.objects.filter(id=other.id).update(
        created_at=ago(hours=1), owned_since=ago(hours=1), last_seen_at=ago(hours=1)
    )


def disable(table: str, trigger: str) -> Callable[[], None]:
    return lambda: run(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")


def drop(table: str, constraint: str) -> Callable[[], None]:
    return lambda: run(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")


def hand_over_too_late() -> None:
    PushDelivery.objects.update(claimed_at=NotificationLog.objects.get().expires_at)


def hear_of_it_too_late() -> None:
    PushDelivery.objects.update(answered_at=NotificationLog.objects.get().expires_at + timedelta(minutes=6))


def abandon_a_lease() -> None:
    dose_due(User.objects.get(), ago(seconds=1), medicine="Aspirin")
    queue.enqueue()
    claim_all(timedelta(seconds=-31))


def lose_the_reason() -> None:
    drop("notification_logs", "notification_logs_moot_and_dead_have_a_reason")()
    dose_due(User.objects.get(), ago(seconds=1), medicine="Aspirin")
    queue.enqueue()
    NotificationLog.objects.filter(status="queued").update(status="dead", closed_at=timezone.now())


def answer_earlier() -> None:
    take_dose(dose_id=DoseLog.objects.get().id, by=User.objects.get(), now=ago(minutes=25))


def follow_up_again_and_again() -> None:
    user, dose = User.objects.get(), DoseLog.objects.get()
    NotificationLog.objects.bulk_create(
        NotificationLog(
            user=user,
            dose=dose,
            kind="follow_up",
            step=step,
            due_at=dose.due_at,
            tag=uuid4(),
            send_at=ago(minutes=2 * step),
            expires_at=timezone.now() + timedelta(minutes=1),
        )
        for step in range(1, MAX_PUSHES_BESIDES_DUE + 2)
    )


def contradict_the_last_event() -> None:
    user = User.objects.get()
    skip_dose(dose_id=DoseLog.objects.get().id, by=user, now=timezone.now())
    DoseLog.objects.update(status="taken", taken_at=timezone.now(), skipped_at=None)


def remove_the_dose_under_its_reminder() -> None:
    DoseLog.objects.all().delete()


BREAKS: dict[str, tuple[Callable[[], Any], list[tuple[str, str]]]] = {
    "planner behind": (forget_to_plan, [("I1", "not planned although due")]),
    "set aside": (set_aside_for_long, [("I1", "set aside for more than a day")]),
    "no dose": (
        lose_a_date,
        [("I1", "no dose on {3}"), ("I1", "no dose on {2}")],
    ),
    "twice a day": (
        drop("dose_logs", "dose_logs_once_per_schedule_date_and_ordinal"),
        [("I1", "dose_logs_once_per_schedule_date_and_ordinal is missing or disabled")],
    ),
    "no reminder": (lose_the_reminder, [("I2", "due without a reminder")]),
    "no reminder for long": (lose_the_reminder_of_yesterday, [("I2", "due without a reminder")]),
    "no delivery": (deliver_nothing, [("I2", "handed over to no device")]),
    "a phone left out": (leave_a_phone_out, [("I2", "a device was left out")]),
    "two deliveries": (
        drop("push_deliveries", "push_deliveries_once_per_reminder_and_device"),
        [("I2", "push_deliveries_once_per_reminder_and_device is missing or disabled")],
    ),
    "reopened reminder": (
        disable("notification_logs", "notification_logs_final_states_stay"),
        [("I3", "notification_logs_final_states_stay is missing or disabled")],
    ),
    "reopened delivery": (
        disable("push_deliveries", "push_deliveries_final_states_stay"),
        [("I3", "push_deliveries_final_states_stay is missing or disabled")],
    ),
    "expired": (hand_over_too_late, [("I8", "handed over after its expiry")]),
    "answered long after": (hear_of_it_too_late, [("I8", "handed over after its expiry")]),
    "abandoned": (abandon_a_lease, [("I9", "lease ran out and nobody took over")]),
    "revoked": (
        lambda: DeviceToken.objects.update(revoked_at=ago(minutes=21), revoke_reason="UNREGISTERED"),
        [("I10", "handed over to a revoked device")],
    ),
    "signed out": (
        lambda: log_out(session_id=session_of(User.objects.get()).id, now=ago(minutes=21)),
        [("I10", "handed over to a device that signed out")],
    ),
    "erased": (
        lambda: User.objects.update(deleted_at=ago(minutes=21), is_active=False),
        [("I10", "handed over to an erased person")],
    ),
    "re-owned": (
        lambda: DeviceToken.objects.update(user=person("Ben").user, owned_since=ago(minutes=21)),
        [("I11", "handed over to a device of somebody else")],
    ),
    "no reason": (
        lose_the_reason,
        [
            ("I12", "dead without a reason"),
            ("I12", "notification_logs_moot_and_dead_have_a_reason is missing or disabled"),
        ],
    ),
    "answered": (answer_earlier, [("I13", "due handed over after the answer")]),
    "too many": (follow_up_again_and_again, [("I14", "more than 20 follow-ups within an hour")]),
    "events twice": (
        drop("dose_events", "dose_events_pkey"),
        [("I15", "dose_events_pkey is missing or disabled")],
    ),
    "events change": (
        disable("dose_events", "dose_events_are_append_only"),
        [("I15", "dose_events_are_append_only is missing or disabled")],
    ),
    "events contradicted": (
        contradict_the_last_event,
        [("I15", "taken although the last event says skipped")],
    ),
    "dose gone": (
        remove_the_dose_under_its_reminder,
        [("references", "handed over about a dose, schedule or device that is gone")],
    ),
    "reminder gone": (
        lambda: run("DELETE FROM notification_logs; UPDATE dose_logs SET created_at = now()"),
        [("references", "reminder is gone")],
    ),
}


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.breaks_the_engine
def test_what_is_broken_is_seen_and_nothing_else(sent: NotificationLog, name: str) -> None:
    break_it, expected = BREAKS[name]
    break_it()
    # {3} is the date of three days ago.
    dates = [database_now().date() - timedelta(days=days) for days in range(4)]
    assert found() == [(invariant, detail.format(*dates)) for invariant, detail in expected]


@pytest.mark.breaks_the_engine
def test_a_device_that_is_gone_is_missed_by_its_delivery(sent: NotificationLog) -> None:
    run("DELETE FROM device_tokens")
    assert found() == [("references", "device is gone")]


def test_a_phone_that_changes_hands_was_its_former_owners_until_then(
    sent: NotificationLog, ben: Credentials
) -> None:
    device = DeviceToken.objects.get()
    assert device_of(sent.user, device.token).owned_since == device.owned_since
    assert device_of(ben.user, device.token).owned_since > ago(minutes=1)
    assert found() == []


def test_the_cap_itself_is_no_violation(sent: NotificationLog) -> None:
    follow_up_again_and_again()
    NotificationLog.objects.filter(step=1).delete()
    assert found() == []


def test_whatever_people_do_in_a_lively_house_nothing_is_wrong(
    ana: Credentials, ben: Credentials, cleo: Credentials
) -> None:
    """Every kind of push, retries, quiet hours, dead and re-owned phones, pauses, edits and flights."""
    now = timezone.now()
    device_of(ana.user)
    signed_out = session_of(ana.user)
    log_in(email="ana@example.com", password=PASSWORD, now=now)
    tablet = device_of(ana.user, "ana-tablet", platform="ios")
    device_of(ben.user)
    device_of(cleo.user)
    User.objects.filter(name="Cleo").update(quiet_hours_start_time="00:00", quiet_hours_end_time="00:00")
    due = {
        (user.name, medicine): dose_due(user, now - timedelta(seconds=1), medicine=medicine)
        for user in (ana.user, ben.user, cleo.user)
        for medicine in ("Metformin", "Aspirin", "Insulin")
    }
    for cycle_type, value in (
        ("daily", None),
        ("weekly", {"days": ["mon", "thu"]}),
        ("interval", {"every": 2}),
    ):
        later = (now + timedelta(hours=7)).time()
        schedule_at(
            medication_of(ana.user, "Later"), later, now=now, cycle_type=cycle_type, cycle_value=value
        )
    (ana_push, *_) = sorted(send(), key=lambda push: "token-of-Ana" not in push.devices.values())
    assert set(ana_push.devices.values()) == {"token-of-Ana", "ana-tablet"}
    assert found() == []

    for minutes in (3, 8):
        move_into_past(minutes)
        assert found() == []
    take_dose(dose_id=due["Ana", "Metformin"].id, by=ana.user, now=timezone.now())
    snooze_dose(dose_id=due["Ana", "Aspirin"].id, by=ana.user, now=timezone.now(), minutes=10)
    skip_dose(dose_id=due["Ben", "Aspirin"].id, by=ben.user, now=timezone.now())
    undo_dose(dose_id=due["Ben", "Aspirin"].id, by=ben.user, now=timezone.now())
    send(BUSY, retry_after=timedelta(seconds=10))
    move_into_past(1)
    send()
    kinds = set(NotificationLog.objects.values_list("kind", "status", "reason"))
    assert ("follow_up", "queued", "quiet_hours") in kinds or ("follow_up", "moot", "quiet_hours") in kinds
    assert found() == []

    move_into_past(10)
    send()
    for name in ("Aspirin", "Insulin"):
        take_dose(dose_id=due["Ana", name].id, by=ana.user, now=timezone.now(), session=session_of(ana.user))
    send()
    assert {"due", "follow_up", "snoozed", "withdraw"} <= {kind for kind, _, _ in kinds} | set(
        NotificationLog.objects.filter(status="accepted").values_list("kind", flat=True)
    )
    assert found() == []

    log_out(session_id=signed_out.id, now=timezone.now())
    revoked(tablet, now=timezone.now())
    medication = Medication.objects.get(user=ben.user, name="Insulin")
    pause_medication(medication_id=medication.id, by=medication.user, now=timezone.now())
    move_into_past(20)
    send(GONE)
    device_of(ben.user, "token-of-Cleo")  # Ben signs in on Cleo's phone
    move_into_past(1)
    resume_medication(medication_id=medication.id, by=medication.user, now=timezone.now())
    update_profile(by=ana.user, changes={"timezone": "Pacific/Apia"}, now=timezone.now())
    daily = Schedule.objects.get(cycle_type="daily", medication__name="Later")
    update_schedule(
        schedule_id=daily.id,
        by=daily.medication.user,
        changes={"scheduled_time": time(23, 59)},
        now=timezone.now(),
    )
    dose_due(ben.user, ago(seconds=1), medicine="Vitamin D")
    device = DeviceToken.objects.get(user=ben.user, revoked_at=None)
    NotificationLog.objects.create(
        user=ben.user,
        device=device,
        kind="test",
        tag=uuid4(),
        send_at=timezone.now(),
        expires_at=timezone.now() + timedelta(minutes=5),
    )
    send()
    assert NotificationLog.objects.get(kind="test").status == "accepted"
    assert found() == []

    move_into_past(4 * 60)
    settle(now=timezone.now())
    send()
    assert DoseLog.objects.filter(status="missed").exists()
    assert DoseEvent.objects.exists()
    assert found() == []


def test_the_command_says_that_all_is_well(db: None) -> None:
    output = StringIO()
    call_command("check_engine", stdout=output)
    assert output.getvalue() == "No violations.\n"


@pytest.mark.breaks_the_engine
def test_the_command_names_what_is_broken_by_id_and_fails(sent: NotificationLog) -> None:
    hand_over_too_late()
    lines, machine = StringIO(), StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("check_engine", stdout=lines)
    with pytest.raises(SystemExit, match="1"):
        call_command("check_engine", "--json", stdout=machine)
    delivery = PushDelivery.objects.get()
    assert lines.getvalue().split() == [
        "I8",
        "1",
        "handed",
        "over",
        "after",
        "its",
        "expiry:",
        str(delivery.id),
    ]
    report = json.loads(machine.getvalue())
    assert (report["violations"], report["counts"]["I8"], report["counts"]["I9"]) == (1, 1, 0)
    assert report["details"][0]["subjects"] == [str(delivery.id)]
    assert UUID(report["details"][0]["subjects"][0])


@pytest.mark.breaks_the_engine
def test_the_night_remembers_its_counts_for_90_days_and_raises_its_voice(
    sent: NotificationLog, caplog: pytest.LogCaptureFixture
) -> None:
    for days in (89, 91):
        EngineCheck.objects.create(ran_at=ago(days=days), seconds=1)
    hand_over_too_late()
    check_engine()
    assert list(EngineCheck.objects.order_by("ran_at").values_list("violations", flat=True)) == [
        {},
        {"I8": 1},
    ]
    assert [record.levelname for record in caplog.records if "invariant violated" in str(record.msg)] == [
        "ERROR"
    ]
