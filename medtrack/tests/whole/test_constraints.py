"""Breaks every constraint of the database once. A constraint without a row here fails the last test."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from dosing.actions.doses import take_dose
from dosing.models import DoseEvent, DoseLog, Schedule
from medications.models import Medication
from medtrack.database.ids import uuid7
from medtrack.tests.support.builders import device_of, dose_due
from medtrack.tests.support.database_role import OWNER, acting_as
from notifications import queue
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from users.actions import Credentials
from users.models import IdempotencyKey, Identity, RateCounter, Session, User

NOW = timezone.now().replace(microsecond=0)
OURS = ("users", "medications", "dosing", "notifications")


@pytest.fixture
def house(ana: Credentials, ben: Credentials) -> None:
    """One row of everything."""
    device_of(ana.user)
    dose = dose_due(ana.user, timezone.now() - timedelta(seconds=1))
    queue.enqueue()
    take_dose(dose_id=dose.id, by=ana.user, now=timezone.now())
    identity = Identity.objects.create(user=ana.user, issuer="https://issuer.example", subject="1")
    outside = {"identity": identity, "outside_id": "1"}
    Session.objects.create(user=ana.user, family=uuid7(), expires_at=NOW + timedelta(days=1), **outside)
    key = {"scope": "event", "key": uuid7(), "fingerprint": b"1"}
    IdempotencyKey.objects.create(user=ana.user, **key)
    PushDelivery.objects.create(
        notification=NotificationLog.objects.get(),
        device=DeviceToken.objects.get(),
        outcome="accepted",
        message_id="1",
        claimed_at=NOW,
    )


def update(model: type[models.Model], **values: Any) -> Callable[[], Any]:
    return lambda: model._default_manager.update(**values)


def copy(model: type[models.Model], **changes: Any) -> Callable[[], Any]:
    """A second row like the first, but for its key and `changes`."""

    def create() -> None:
        values = model._default_manager.values().earliest("pk")
        del values["id"]
        model._default_manager.create(**values | changes)

    return create


BREAKS: dict[str, Callable[[], Any]] = {
    "users_email_is_unique_whatever_its_case": lambda: User.objects.filter(name="Ben").update(
        email="ANA@example.com"
    ),
    "users_email_is_null_rather_than_empty": lambda: User.objects.filter(name="Ben").update(email=""),
    "users_have_a_timezone": update(User, timezone=""),
    "users_language_is_one_we_speak": update(User, language="tlh"),
    "users_week_start_is_a_weekday": update(User, week_start=0),
    "users_follow_ups_are_bounded": update(User, follow_up_interval_minutes=0),
    "users_quiet_hours_have_both_ends": update(User, quiet_hours_start_time="22:00"),
    "identities_are_unique_by_issuer_and_subject": copy(Identity),
    "sessions_are_unique_by_identity_and_outside_id": lambda: Session.objects.filter(
        identity=None, user__name="Ana"
    ).update(identity=Identity.objects.get(), outside_id="1", refresh_token_hash=None),
    "sessions_have_our_tokens_or_an_outside_issuers": update(Session, refresh_token_hash=None),
    "idempotency_keys_are_unique_by_scope": copy(IdempotencyKey),
    "rate_counters_are_unique_by_person_and_name": copy(RateCounter),
    "idempotency_keys_scope_is_known": update(IdempotencyKey, scope="chat"),
    "sessions_expire_after_they_begin": update(Session, expires_at=NOW - timedelta(days=1)),
    "medications_have_a_name": update(Medication, name=""),
    "medications_color_tag_is_hex": update(Medication, color_tag="green"),
    "medications_stock_is_not_negative": update(Medication, stock_quantity=-1),
    "medications_low_stock_threshold_is_not_negative": update(Medication, low_stock_threshold=-1),
    "schedules_quantity_is_positive": update(Schedule, quantity=0),
    "schedules_end_on_or_after_their_start": update(Schedule, end_date="2000-01-01"),
    "schedules_deleted_are_inactive": update(Schedule, deleted_at=NOW),
    "dose_logs_once_per_schedule_and_date": copy(DoseLog),
    "dose_logs_status_is_known": update(DoseLog, status="lost"),
    "dose_logs_planned_are_due": update(DoseLog, due_at=None),
    "dose_logs_are_due_before_their_window_ends": update(DoseLog, answer_by=NOW - timedelta(days=1)),
    "dose_logs_taken_have_their_time": update(DoseLog, taken_at=None),
    "dose_logs_snoozed_are_pending": update(DoseLog, snoozed_until=NOW),
    "dose_logs_answered_have_a_recorder": update(DoseLog, recorded_by=None),
    "dose_logs_quantity_is_positive": update(DoseLog, quantity=0),
    "dose_logs_taken_quantity_is_of_taken_doses": update(DoseLog, taken_quantity=0),
    "dose_events_action_is_known": copy(DoseEvent, action="lost"),
    "device_tokens_are_printable_ascii": update(DeviceToken, token="a\nb"),
    "device_tokens_revoked_have_a_reason": update(DeviceToken, revoked_at=NOW),
    "device_tokens_suspect_were_probed": update(DeviceToken, suspect_since=NOW),
    "notification_logs_once_per_dose_due_at_and_step": copy(NotificationLog),
    "notification_logs_kind_is_known": update(NotificationLog, kind="chat"),
    "notification_logs_are_about_a_dose_or_test_a_device": update(NotificationLog, dose=None),
    "notification_logs_closed_have_their_time": update(NotificationLog, closed_at=NOW),
    "notification_logs_status_is_known": update(NotificationLog, status="lost", closed_at=NOW),
    "notification_logs_moot_and_dead_have_a_reason": update(NotificationLog, status="dead", closed_at=NOW),
    "notification_logs_accepted_have_their_time": update(NotificationLog, status="accepted", closed_at=NOW),
    "notification_logs_only_queued_are_leased": update(NotificationLog, lease_until=NOW),
    "notification_logs_expire_after_their_time": update(NotificationLog, expires_at=NOW - timedelta(days=1)),
    "push_deliveries_once_per_reminder_and_device": copy(PushDelivery),
    "push_deliveries_outcome_is_known": lambda: PushDelivery.objects.create(
        notification=NotificationLog.objects.get(),
        device_id=uuid7(),
        outcome="lost",
        error_code="?",
        claimed_at=NOW,
    ),
    "push_deliveries_say_which_message_or_which_error": update(PushDelivery, message_id=""),
}


@pytest.mark.parametrize("name", BREAKS)
def test_rows_that_break_a_rule_are_refused_by_the_database(house: None, name: str) -> None:
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        BREAKS[name]()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE dose_events SET action = 'taken'",
        "DELETE FROM dose_events",
        "TRUNCATE dose_events",
        "TRUNCATE dose_logs CASCADE",
    ],
)
def test_dose_events_are_append_only_even_for_the_owner(house: None, change: str) -> None:
    refused = pytest.raises(IntegrityError, match="dose_events is append-only")
    with acting_as(OWNER), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks to come cannot be truncated
        with refused, transaction.atomic():
            cursor.execute(change)


@pytest.mark.parametrize("fate", ["accepted", "moot", "dead"])
@pytest.mark.parametrize("change", ["queued", "accepted", "moot", "dead"])
def test_no_reminder_leaves_a_final_state(house: None, fate: str, change: str) -> None:
    closed = {"reason": "expired", "sent_at": NOW, "closed_at": NOW}
    NotificationLog.objects.update(status=fate, **closed)
    attempt = {"status": change, "closed_at": None if change == "queued" else NOW}
    if change == fate:
        NotificationLog.objects.update(**attempt)
        return
    with pytest.raises(IntegrityError, match="is final"), transaction.atomic():
        NotificationLog.objects.update(**attempt)


def test_no_delivery_leaves_a_final_state(house: None) -> None:
    for outcome in ("retry", "dead"):
        with pytest.raises(IntegrityError, match="is final"), transaction.atomic():
            PushDelivery.objects.update(outcome=outcome, error_code="UNREGISTERED")


def test_every_constraint_is_broken_once() -> None:
    named = {
        constraint.name
        for label in OURS
        for model in apps.get_app_config(label).get_models()
        for constraint in model._meta.constraints
    }
    assert named == set(BREAKS)


def test_tables_have_exactly_the_contracts_names() -> None:
    tables = {model._meta.db_table for label in OURS for model in apps.get_app_config(label).get_models()}
    assert tables == {
        "users",
        "identities",
        "sessions",
        "medications",
        "schedules",
        "dose_logs",
        "dose_events",
        "device_tokens",
        "notification_logs",
        "push_deliveries",
        "engine_checks",
        "heartbeats",
        "firebase_projects",
        "task_runs",
        "engine_counters",
        "idempotency_keys",
        "rate_counters",
        "access_log",
    }
