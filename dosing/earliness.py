"""How long before its due instant a planned dose may be answered.

The bound is half the schedule's usual gap before the dose is due, or the whole gap if nothing of the schedule
was taken before. A dose may also not be taken within half the gap of the schedule's last intake. At its due
instant and later it is never too early. Instants are UTC.
"""

from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _
from rest_framework import status

from dosing.models import DoseLog
from dosing.planning import RULE_ERRORS, rule_of
from medtrack.http.problems import Conflict

# Of a schedule that has neither a usual gap nor a dose before this one.
UNKNOWN_GAP = timedelta(days=7)


class TooEarly(Conflict):
    """A planned dose is due so much later, or the last one was taken so shortly before, that it asks for
    `override`.

    `due_at` says when it is due, `earliest_at` from when on it needs no `override`, and `last_taken_at` when
    the schedule's last dose was taken.
    """

    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = _("It is too early for this dose. Send `override` if it is meant.")
    default_code = "too_early"


def check_earliness(dose: DoseLog, at: datetime, *, is_taken: bool) -> None:
    """Raises TooEarly if it is too early, at the instant `at`, to take or to skip a planned dose.

    Skipping does not look at the last intake: it cannot be one too many.
    """
    if dose.due_at is None or at >= dose.due_at:
        return
    last = _last_taken_at(dose, before=at)
    gap = _usual_gap(dose)
    earliest_at = dose.due_at - (gap / 2 if last else gap)
    if is_taken and last:
        # Never later than the due instant.
        earliest_at = min(max(earliest_at, last + gap / 2), dose.due_at)
    if at < earliest_at:
        raise TooEarly(due_at=dose.due_at, earliest_at=earliest_at, last_taken_at=last)


def _last_taken_at(dose: DoseLog, *, before: datetime) -> datetime | None:
    others = DoseLog.objects.filter(schedule=dose.schedule, taken_at__lte=before).exclude(id=dose.id)
    return others.order_by("-taken_at").values_list("taken_at", flat=True).first()


def _usual_gap(dose: DoseLog) -> timedelta:
    schedule = dose.schedule
    assert schedule is not None  # noqa: S101 - it is planned
    try:
        usual = rule_of(schedule).cycle.usual_gap()
    except RULE_ERRORS:
        usual = None
    if usual:
        return usual
    earlier = DoseLog.objects.filter(schedule=schedule, due_at__lt=dose.due_at, withdrawn_at=None)
    due_before = earlier.order_by("-due_at").values_list("due_at", flat=True).first()
    return dose.due_at - due_before if dose.due_at and due_before else UNKNOWN_GAP
