"""Writing the demo down, through the same actions as the API. Instants are in UTC."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from random import Random
from typing import Any

from django.db import transaction
from django.db.models import F

from dosing.actions.doses import skip_dose, take_dose, undo_dose
from dosing.actions.schedules import create_schedule, delete_schedule
from dosing.models import DoseLog, Schedule
from dosing.planning import plan_schedules
from dosing.status import Change, DoseStatus
from medications.actions import create_medication
from medications.models import Medication
from medtrack.development.demo.history import Step, answer
from medtrack.development.demo.people import (
    ADMIN_EMAIL,
    ADMIN_ZONE,
    CAREGIVER,
    CAREGIVER_DEVICE,
    PASSWORD,
    PATIENTS,
    SEOYEON,
    VITAMIN_C,
    Character,
    Device,
    Login,
    Medicine,
    Patient,
    Slot,
)
from notifications.actions import register_device
from users.actions import log_in, sign_up
from users.models import User

DAYS = 60
# So long before the first dose that a schedule's own planning makes none: what is planned late is missed at once.
SET_UP = timedelta(days=DAYS + 3)
NOTICE = timedelta(seconds=20)
MINUTE = timedelta(minutes=1)


class NoDemoPatient(Exception):
    """The demo's patient is not there."""


@dataclass(frozen=True)
class FallsDue:
    """A dose that falls due soon."""

    patient: User
    due_at: datetime


def demo_exists() -> bool:
    exists: bool = User.objects.with_email(ADMIN_EMAIL).exists()
    return exists


@transaction.atomic
def create_demo(*, now: datetime, report: Callable[[str], object]) -> None:
    """Everybody of the demo with `DAYS` days of history until `now`, or nobody. Raises EmailTaken."""
    for patient in PATIENTS:
        report(f"{patient.login.name}: {len(patient.medicines)} medicines, {DAYS} days")
        doses = _create_patient(patient, now)
        report(f"{patient.login.name}: {doses} doses")
    _sign_up(CAREGIVER, CAREGIVER_DEVICE, now)
    User.objects.create_superuser(ADMIN_EMAIL, PASSWORD, name="Admin", timezone=ADMIN_ZONE, language="en")


def make_dose_fall_due(*, now: datetime) -> FallsDue:
    """One dose of Seoyeon's at the next full minute after some notice, however often. Raises NoDemoPatient."""
    patient = User.objects.active().with_email(SEOYEON.login.email).first()
    if patient is None:
        raise NoDemoPatient
    due_at = _full_minute(now + NOTICE)
    with transaction.atomic():
        medication = _usable_medication(patient, VITAMIN_C)
        _delete_passed(medication, now)
        waiting = DoseLog.objects.filter(medication=medication, due_at=due_at, status=DoseStatus.PENDING)
        if not waiting.exists():
            local = due_at.astimezone(patient.zone)
            create_schedule(
                medication=medication,
                now=now,
                scheduled_time=local.time(),
                start_date=local.date(),
                end_date=local.date(),
            )
    return FallsDue(patient, due_at)


def _full_minute(instant: datetime) -> datetime:
    """The first full minute at or after the instant."""
    return (instant + MINUTE - timedelta(microseconds=1)).replace(second=0, microsecond=0)


def _usable_medication(patient: User, medicine: Medicine) -> Medication:
    """The demo's own, or a new one when somebody who tried the demo deleted or paused it."""
    usable = Medication.objects.visible_to(patient).filter(name=medicine.name, is_active=True, paused_at=None)
    return usable.first() or create_medication(by=patient, **_fields(medicine))[0]


def _delete_passed(medication: Medication, now: datetime) -> None:
    """Ends the one-day schedules whose only dose can no longer be answered in time."""
    one_day = Schedule.objects.filter(medication=medication, deleted_at=None, start_date=F("end_date"))
    for schedule in one_day.filter(doses__answer_by__lte=now):
        delete_schedule(schedule=schedule, now=now)


def _create_patient(patient: Patient, now: datetime) -> int:
    """Returns how many doses the history has."""
    first, *others = patient.devices
    user = _sign_up(patient.login, first.name, now)
    for device in others:
        log_in(email=patient.login.email, password=PASSWORD, now=now, device_name=device.name)
    for device in patient.devices:
        _register(device, user, now)
    schedules = [schedule for medicine in patient.medicines for schedule in _schedules(medicine, user, now)]
    plan_schedules(schedule_ids=[schedule.id for schedule in schedules], now=now)
    return _live(user, patient.character, now)


def _sign_up(login: Login, device_name: str, now: datetime) -> User:
    credentials = sign_up(
        email=login.email,
        password=PASSWORD,
        now=now,
        device_name=device_name,
        name=login.name,
        timezone=login.timezone,
        language=login.language,
    )
    User.objects.filter(id=credentials.user.id).update(email_verified_at=now)
    return credentials.user


def _register(device: Device, user: User, now: datetime) -> None:
    register_device(
        by=user,
        session=user.sessions.get(device_name=device.name),
        token=device.token,
        now=now,
        platform=device.platform,
        app_version=device.app_version,
        language=user.language,
    )


def _schedules(medicine: Medicine, user: User, now: datetime) -> Iterator[Schedule]:
    set_up_at = now - SET_UP
    start_date = now.astimezone(user.zone).date() - timedelta(days=DAYS)
    medication, _new = create_medication(by=user, created_at=set_up_at, **_fields(medicine))
    for slot in medicine.slots:
        schedule, _new = create_schedule(
            medication=medication, now=set_up_at, created_at=set_up_at, start_date=start_date, **_rule(slot)
        )
        yield schedule


def _fields(medicine: Medicine) -> dict[str, Any]:
    return {
        "name": medicine.name,
        "strength": medicine.strength,
        "dosage": medicine.dosage,
        "unit": medicine.unit,
        "form": medicine.form,
        "color_tag": medicine.color_tag,
        "memo": medicine.memo,
    }


def _rule(slot: Slot) -> dict[str, Any]:
    rule = {"scheduled_time": slot.at, "meal_relation": slot.meal, "quantity": slot.quantity}
    if slot.weekdays:
        return rule | {"cycle_type": Schedule.CycleType.WEEKLY, "cycle_value": {"days": list(slot.weekdays)}}
    return rule


def _live(user: User, character: Character, now: datetime) -> int:
    """Answers the doses due until now as this character would; returns how many there were."""
    chance = Random(user.email)  # noqa: S311 - the same life every time
    start = now - timedelta(days=DAYS)
    doses = list(DoseLog.objects.filter(user=user, due_at__lte=now).order_by("due_at", "id"))
    for due_at, together in groupby(doses, key=attrgetter("due_at")):
        occasion = list(together)
        progress = (due_at - start) / (now - start)
        for step in answer(due_at.astimezone(user.zone), character, progress=progress, chance=chance):
            if step.at <= now:
                for dose in occasion:
                    _do(step, dose, user)
    return len(doses)


def _do(step: Step, dose: DoseLog, user: User) -> None:
    at = step.at.astimezone(UTC)
    match step.change:
        case Change.TAKE:
            take_dose(dose_id=dose.id, by=user, now=at)
        case Change.SKIP:
            skip_dose(dose_id=dose.id, by=user, now=at, reason=step.reason)
        case Change.UNDO:
            undo_dose(dose_id=dose.id, by=user, now=at)
