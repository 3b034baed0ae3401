"""Medications with their schedules, doses and devices in words, in the active language."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.utils.translation import gettext as _

from dosing.as_taken import DescribedMedication
from dosing.models import DoseLog, Schedule
from dosing.planning import RULE_ERRORS, rule_of
from medications.models import Medication
from medtrack.console.patient.facts import Treatment
from medtrack.console.patient.schedule_words import amount, clock, day_in_words, in_words
from notifications.models import DeviceToken


@dataclass(frozen=True)
class IntakeText:
    """Schedules of one medication that differ only in the time of day."""

    words: str
    details: list[str]
    state: str
    plan_error: str


@dataclass(frozen=True)
class TreatmentText:
    medication: Medication
    intakes: list[IntakeText]
    state: str


def treatment_text(treatment: Treatment, *, today: date, now: datetime) -> TreatmentText:
    medication = treatment.medication
    state = ""
    if not medication.is_active:
        state = _("ended")
    elif medication.is_paused(now):
        state = _("paused")
    return TreatmentText(medication, [_intake(medication, group, today) for group in treatment.groups], state)


def device_name(token: DeviceToken) -> str:
    """The platform, with the name that the app gave when it signed in."""
    name = token.session.device_name if token.session else ""
    return f"{token.get_platform_display()} {name or token.app_version}".strip()


def device_state(token: DeviceToken) -> str:
    if token.revoked_at is not None:
        return _("revoked")
    if not token.is_signed_in:
        return _("signed out")
    if token.suspect_since is not None:
        return _("not accepted by FCM")
    return _("silent") if token.silent_since else _("reachable")


def dose_quantity(dose: DoseLog) -> str:
    return amount(dose.actual_quantity, _unit(dose.medication_as_taken))


def _unit(medication: Medication | DescribedMedication) -> str:
    return medication.unit or str(Medication.Form(medication.form).label)


def _intake(medication: Medication, group: Sequence[Schedule], today: date) -> IntakeText:
    schedule = group[0]
    unit = _unit(medication)
    # As-needed schedules may have no time of day.
    times = [one.scheduled_time for one in group if one.scheduled_time is not None]
    try:
        words = in_words(rule_of(schedule).cycle, times, unit=unit)
    except RULE_ERRORS:
        # A damaged rule: the planner's error stands beside these words.
        words = " ".join([schedule.get_cycle_type_display(), *map(clock, times[:1])])
    details = []
    # The words of a taper contain its quantities.
    if schedule.cycle_type != Schedule.CycleType.TAPER:
        details.append(amount(schedule.quantity, unit))
    if schedule.meal_relation != Schedule.MealRelation.ANY:
        details.append(str(schedule.get_meal_relation_display()))
    first, last = day_in_words(schedule.start_date), schedule.end_date
    if last is None:
        details.append(_("since %(first)s") % {"first": first})
    else:
        details.append(_("%(first)s to %(last)s") % {"first": first, "last": day_in_words(last)})
    # As-needed schedules have no reminders, whatever the setting is.
    if not schedule.reminder_enabled and schedule.cycle_type != Schedule.CycleType.AS_NEEDED:
        details.append(_("reminders off"))
    state = ""
    if not schedule.is_active:
        state = _("ended")
    # By the patient's own date: a schedule may be over for the patient and not yet for the reader.
    elif schedule.end_date is not None and schedule.end_date < today:
        state = _("over")
    elif schedule.start_date > today:
        state = _("to come")
    return IntakeText(words, details, state, schedule.plan_error)
