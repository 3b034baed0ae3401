"""Creates the demo data through the actions that the API uses. Instants are in UTC."""

from collections.abc import Callable
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
from medtrack.development.demo.history import answers
from medtrack.development.demo.people import (
    ADMIN_EMAIL,
    ADMIN_ZONE,
    CAREGIVER,
    CAREGIVER_DEVICE,
    PASSWORD,
    PATIENTS,
    SEOYEON,
    VITAMIN_C,
    DemoMedication,
    DemoPatient,
    Habits,
    Login,
)
from notifications.actions import register_device
from users.actions import log_in, sign_up
from users.models import User

DAYS = 60
# Schedules are created so long before their first dose that creating them plans no dose. A dose that is
# planned after its time would be missed at once.
SET_UP = timedelta(days=DAYS + 3)
NOTICE = timedelta(seconds=20)
MINUTE = timedelta(minutes=1)


class NoDemoPatient(Exception):
    """The demo's patient does not exist."""


@dataclass(frozen=True)
class UpcomingDose:
    patient: User
    due_at: datetime


def demo_exists() -> bool:
    exists: bool = User.objects.with_email(ADMIN_EMAIL).exists()
    return exists


@transaction.atomic
def create_demo(*, now: datetime, report: Callable[[str], object]) -> None:
    """Creates all people of the demo and `DAYS` days of history until `now`. Raises EmailTaken."""
    for patient in PATIENTS:
        report(f"{patient.login.name}: {len(patient.medications)} medications, {DAYS} days")
        doses = create_patient(patient, now=now)
        report(f"{patient.login.name}: {doses} doses")
    _sign_up(CAREGIVER, CAREGIVER_DEVICE, now)
    User.objects.create_superuser(ADMIN_EMAIL, PASSWORD, name="Admin", timezone=ADMIN_ZONE, language="en")


def make_dose_fall_due(*, now: datetime) -> UpcomingDose:
    """Schedules a dose of Seoyeon's at the first full minute after `NOTICE`. Raises NoDemoPatient."""
    patient = User.objects.active().with_email(SEOYEON.login.email).first()
    if patient is None:
        raise NoDemoPatient
    # The first full minute at or after this instant.
    earliest = now + NOTICE
    due_at = (earliest + MINUTE - timedelta(microseconds=1)).replace(second=0, microsecond=0)
    with transaction.atomic():
        # A user of the demo may have deleted or paused the medication. Then the patient gets another one.
        usable = Medication.objects.visible_to(patient).filter(
            name=VITAMIN_C.name, is_active=True, paused_at=None
        )
        medication = usable.first() or create_medication(by=patient, now=now, **_fields(VITAMIN_C)).object
        # Delete the one-day schedules of earlier calls whose dose can no longer be answered in time.
        one_day = Schedule.objects.filter(medication=medication, deleted_at=None, start_date=F("end_date"))
        for schedule in one_day.filter(doses__answer_by__lte=now):
            delete_schedule(schedule_id=schedule.id, by=patient, now=now)
        # A second call within the same minute finds the dose of the first.
        pending = DoseLog.objects.filter(medication=medication, due_at=due_at, status=DoseStatus.PENDING)
        if not pending.exists():
            local = due_at.astimezone(patient.zone)
            create_schedule(
                medication_id=medication.id,
                by=patient,
                now=now,
                scheduled_time=local.time(),
                start_date=local.date(),
                end_date=local.date(),
            )
    return UpcomingDose(patient, due_at)


def create_patient(patient: DemoPatient, *, now: datetime) -> int:
    """Returns the number of doses in the history."""
    first, *others = patient.devices
    user = _sign_up(patient.login, first.name, now)
    # Each device signs in, because a session has one device.
    for device in others:
        log_in(email=patient.login.email, password=PASSWORD, now=now, device_name=device.name)
    for device in patient.devices:
        register_device(
            by=user,
            session=user.sessions.get(device_name=device.name),
            token=device.token,
            now=now,
            platform=device.platform,
            app_version=device.app_version,
            language=user.language,
        )
    # The doses are planned as of now, when they are due already, and then answered in the order of time.
    schedules = create_schedules(patient.medications, user, now=now)
    plan_schedules(schedule_ids=[schedule.id for schedule in schedules], now=now)
    return answer_doses(user, patient.habits, now=now)


def create_schedules(medications: tuple[DemoMedication, ...], user: User, *, now: datetime) -> list[Schedule]:
    set_up_at = now - SET_UP
    start_date = now.astimezone(user.zone).date() - timedelta(days=DAYS)
    schedules = []
    for each in medications:
        fields = _fields(each) | {"created_at": set_up_at}
        medication = create_medication(by=user, now=set_up_at, **fields).object
        for slot in each.slots:
            rule: dict[str, Any] = {
                "scheduled_time": slot.at,
                "meal_relation": slot.meal,
                "quantity": slot.quantity,
            }
            if slot.weekdays:
                rule |= {
                    "cycle_type": Schedule.CycleType.WEEKLY,
                    "cycle_value": {"days": list(slot.weekdays)},
                }
            schedule = create_schedule(
                medication_id=medication.id,
                by=user,
                now=set_up_at,
                created_at=set_up_at,
                start_date=start_date,
                **rule,
            )
            schedules.append(schedule.object)
    return schedules


def answer_doses(user: User, habits: Habits, *, now: datetime) -> int:
    """Answers the doses due until now as a patient with these habits does; returns how many were due."""
    # Seeded by the e-mail, so that the history is the same every time.
    random = Random(user.email)  # noqa: S311
    start = now - timedelta(days=DAYS)
    # Sorted by id, too, so that the answers are the same every time.
    doses = list(DoseLog.objects.filter(user=user, due_at__lte=now).order_by("due_at", "id"))
    for due_at, group in groupby(doses, key=attrgetter("due_at")):
        # A patient answers the doses of one instant together.
        doses_at_once = list(group)
        progress = (due_at - start) / (now - start)
        for answer in answers(due_at.astimezone(user.zone), habits, progress=progress, random=random):
            at = answer.at.astimezone(UTC)
            if at > now:
                continue
            for dose in doses_at_once:
                match answer.change:
                    case Change.TAKE:
                        take_dose(dose_id=dose.id, by=user, now=at)
                    case Change.SKIP:
                        skip_dose(dose_id=dose.id, by=user, now=at, reason=answer.reason)
                    case Change.UNDO:
                        undo_dose(dose_id=dose.id, by=user, now=at)
    return len(doses)


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
    # As if the user had opened the link in the mail, which the demo does not send.
    User.objects.filter(id=credentials.user.id).update(email_verified_at=now)
    return credentials.user


def _fields(medication: DemoMedication) -> dict[str, Any]:
    names = ("name", "strength", "dosage", "unit", "form", "color_tag", "memo")
    return {name: getattr(medication, name) for name in names}
