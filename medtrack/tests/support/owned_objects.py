"""One of each object that a user can own. Its texts contain a word that occurs in no other data (the canary)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connection, transaction
from django.utils import timezone

from dosing.actions.doses import take_dose
from dosing.actions.intakes import log_intake
from dosing.actions.trips import create_trip
from dosing.models import DoseLog, Schedule
from medications.models import Medication
from medtrack.tests.support.builders import (
    claim_all,
    device_of,
    dose_due,
    medication_of,
    schedule_at,
    session_of,
)
from notifications import queue
from notifications.models import DeviceToken, EngineCounter
from notifications.queue import PushResult
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials
from users.models import Trip, User

Rows = dict[tuple[str, str], dict[str, Any]]
CANARY = "zzcanary"


@dataclass(frozen=True)
class OwnedObjects:
    """`dose` is pending, `taken` is taken; `as_needed` is a schedule of another medication, with its `intake`."""

    credentials: Credentials
    medication: Medication
    schedule: Schedule
    as_needed: Schedule
    dose: DoseLog
    taken: DoseLog
    intake: DoseLog
    device: DeviceToken
    notification_id: UUID
    trip: Trip

    @property
    def user(self) -> User:
        return self.credentials.user


def owned_objects_of(credentials: Credentials, canary: str = CANARY) -> OwnedObjects:
    user, now = credentials.user, timezone.now()
    person = {"name": f"{canary}person", "email": f"{canary}@example.com", "private_push_text": False}
    User.objects.filter(id=user.id).update(**person)
    user.refresh_from_db()
    words = {name: f"{canary}{name}" for name in ("dosage", "memo", "unit", "strength")}
    medication = medication_of(user, f"{canary}medicine", **words)
    # Neither at the hour of the doses below nor so late that today's is over.
    schedule = schedule_at(medication, time(23, 58), now=now)
    headache = medication_of(user, f"{canary}headache", **words)
    as_needed = schedule_at(headache, time(0, 1), now=now, cycle_type="as_needed")
    device = device_of(user, f"{canary}phone", device_id=f"{canary}install", app_version=f"{canary}version")
    taken, dose = (dose_due(user, now - timedelta(minutes=ago), medicine=medication.name) for ago in (2, 1))
    deed = {"by": user, "session": session_of(user), "now": now}
    take_dose(dose_id=taken.id, note=f"{canary}note", **deed)  # type: ignore[arg-type]
    intake = log_intake(medication_id=headache.id, by=user, now=now, note=f"{canary}intake").object
    begin = now + timedelta(days=30)
    trip = create_trip(by=user, timezone="Asia/Tokyo", starts_at=begin, now=now).object
    return OwnedObjects(
        credentials,
        medication,
        schedule,
        as_needed,
        dose,
        taken,
        intake,
        device,
        _accepted_push(canary),
        trip,
    )


def _accepted_push(canary: str) -> UUID:
    queue.enqueue()
    (push,) = claim_all().pushes
    accepted = FcmResult(FcmResultKind.ACCEPTED, message_id=f"projects/p/messages/{canary}")
    queue.mark([PushResult(push, dict.fromkeys(push.devices, accepted), None)])
    return UUID(push.notification_ids[0])


@contextmanager
def undone() -> Iterator[None]:
    """Rolls back what is written inside."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def all_rows() -> Rows:
    """Returns all rows by table and primary key, without the engine's counters over all users."""
    rows: Rows = {}
    for model in set(apps.get_models()) - {EngineCounter}:
        table = model._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{table}"')
            columns = [column.name for column in cursor.description or ()]
            for values in cursor.fetchall():
                row = dict(zip(columns, values, strict=True))
                rows[table, str(row[model._meta.pk.column])] = row
    return rows


def written(before: Rows, after: Rows) -> dict[str, set[str]]:
    """Returns the changed columns by table; `+` means new rows, `-` deleted ones."""
    changes: dict[str, set[str]] = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old is None or new is None:
            changes.setdefault(key[0], set()).add("+" if old is None else "-")
        elif columns := {name for name in new if new[name] != old[name]}:
            changes.setdefault(key[0], set()).update(columns)
    return changes
