"""Doses to come: those that are written, and those that the rules have where nothing is planned yet.

Reads only. What is not written has the id, date and instant with which it will be written. Instants are UTC.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from heapq import merge
from itertools import islice, takewhile
from typing import Any
from uuid import UUID

from django.db.models import Q

from dosing.cycles import Occurrence, due_instant, occurrences
from dosing.dose_ids import dose_id
from dosing.models import DoseLog, Schedule
from dosing.planning import can_be_planned, rule_of, zone_of
from dosing.status import DoseStatus
from dosing.unwritten import find_unwritten, planned_dose
from dosing.zone_changes import TRIP_DELAY, ZoneAhead, histories, occurrences_ahead, zone_changes_ahead
from users.models import User

MOST = 1000
_DAY = timedelta(days=1)
# The date of a dose and the UTC date of its instant: 14 hours by the zone, and a day where a zone skips one or
# where a dose stayed at the clock of another zone.
_AROUND = 2 * _DAY

Key = tuple[UUID, date, int]


@dataclass(frozen=True, slots=True)
class Upcoming:
    """`tags` has the tag of the push about a dose, if there will be one."""

    to: date
    doses: list[DoseLog]
    tags: dict[UUID, UUID]
    is_truncated: bool


def occurrences_of(user: User, *, since: datetime, until: datetime) -> Iterator[tuple[Schedule, Occurrence]]:
    """Yields what is due in [since, until) and not written yet, ascending by instant and id."""
    mine = Schedule.objects.visible_to(user).filter(planned_until__lt=until)
    schedules = list(mine.select_related("medication__user"))
    written = _written(user, since=since, until=until) if schedules else set()
    streams = [_of_schedule(schedule, since, until) for schedule in schedules]
    for schedule, occurrence in merge(*streams, key=lambda one: (one[1].due_at, _id(*one))):
        if (schedule.id, occurrence.log_date, occurrence.ordinal) not in written:
            yield schedule, occurrence


def not_planned_from(schedule: Schedule) -> datetime | None:
    """The instant from which the doses of the schedule's rule are not written yet. None: it has no more."""
    if schedule.planned_until is None or schedule.plan_error or not schedule.is_wanted:
        return None
    if not can_be_planned(schedule):
        return None
    return max(schedule.planned_until, schedule.medication.paused_until or schedule.planned_until)


def planned_doses_of_day(user: User, day: date) -> list[DoseLog]:
    """The doses of a local date that are not written yet."""
    midnight = datetime.combine(day, time.min, UTC)
    around = occurrences_of(user, since=midnight - _AROUND, until=midnight + _DAY + _AROUND)
    return [planned_dose(*one) for one in around if one[1].log_date == day]


def find_dose(user: User, id: UUID) -> DoseLog | None:
    """A dose of the user by its id, written or to be written."""
    if dose := DoseLog.objects.visible_to(user).filter(id=id).first():
        is_hidden = dose.withdrawn_at and dose.status not in (DoseStatus.TAKEN, DoseStatus.SKIPPED)
        return None if is_hidden else dose
    found = find_unwritten(user, id)
    if found is None:
        return None
    schedule, occurrence = found
    since = not_planned_from(schedule)
    if since is None or occurrence.due_at < since:
        return None
    # It may be written with the id that doses had before theirs followed from the schedule.
    key = {"log_date": occurrence.log_date, "ordinal": occurrence.ordinal}
    if DoseLog.objects.filter(schedule=schedule, **key).exists():
        return None
    return planned_dose(schedule, occurrence)


def upcoming(user: User, *, days: int, now: datetime) -> Upcoming:
    """The doses that are open at the instant `now` or due later, up to the end of the local date `days` days
    from today. At most `MOST` of them, the earliest first.
    """
    to = now.astimezone(user.zone).date() + days * _DAY
    until = due_instant(to + _DAY, time.min, user.zone)
    # The dates keep the query from reading all doses of the user.
    written = DoseLog.objects.visible_to(user).filter(
        schedule__isnull=False,
        status=DoseStatus.PENDING,
        withdrawn_at=None,
        answer_by__gt=now,
        due_at__lt=until,
        log_date__range=(now.date() - _AROUND, until.date() + _AROUND),
    )
    computed = occurrences_of(user, since=now, until=until)
    changes = zone_changes_ahead(user, now)
    if changes and changes[0].at < until:
        # What a trip will plan again is computed.
        replanned = Q(schedule__timezone=None, due_at__gt=changes[0].at + TRIP_DELAY)
        written = written.exclude(replanned)
        travelling = _across_trips(user, changes, replanned, now=now, until=until)
        stays = (one for one in computed if one[0].timezone)
        computed = merge(stays, travelling, key=lambda one: (one[1].due_at, _id(*one)))
    rows = written.select_related("schedule").order_by("due_at", "id")[: MOST + 1]
    doses = list(islice(merge(rows, (planned_dose(*one) for one in computed), key=_by_instant), MOST + 1))
    return Upcoming(to, doses[:MOST], _tags(doses), is_truncated=len(doses) > MOST)


def next_due(user: User, schedules: Collection[Schedule], *, now: datetime) -> dict[UUID, datetime | None]:
    """When the next dose of each of these schedules of the user is due after `now`; None if none is to come.

    One query for all of them. They need their medication.
    """
    later = DoseLog.objects.filter(
        user=user, schedule__isnull=False, log_date__gte=now.date() - _AROUND, due_at__gt=now
    )
    written: dict[UUID, list[DoseLog]] = {schedule.id: [] for schedule in schedules}
    for dose in later:
        if dose.schedule_id in written:
            written[dose.schedule_id].append(dose)
    return {schedule.id: _next_of(user, schedule, written[schedule.id], now) for schedule in schedules}


def _id(schedule: Schedule, occurrence: Occurrence) -> UUID:
    return dose_id(schedule.id, occurrence.log_date, occurrence.ordinal)


def _of_schedule(
    schedule: Schedule, since: datetime, until: datetime
) -> Iterator[tuple[Schedule, Occurrence]]:
    if (first := not_planned_from(schedule)) is None:
        return
    later = occurrences(rule_of(schedule), zone=zone_of(schedule), since=max(first, since))
    for occurrence in takewhile(lambda one: one.due_at < until, later):
        yield schedule, occurrence


def _across_trips(
    user: User, changes: Sequence[ZoneAhead], replanned: Q, *, now: datetime, until: datetime
) -> list[tuple[Schedule, Occurrence]]:
    """As `occurrences_of`, of the schedules on the user's clock, and with what a trip will plan again."""
    begin = changes[0].at + TRIP_DELAY
    mine = Schedule.objects.visible_to(user).filter(timezone=None).select_related("medication__user")
    schedules = [one for one in mine if one.is_wanted and not one.plan_error and can_be_planned(one)]
    known = histories([schedule.id for schedule in schedules], user=user, now=now)
    written = _written(user, since=now, until=until, without=replanned & Q(status=DoseStatus.PENDING))
    found = []
    for schedule in schedules:
        since = min(
            not_planned_from(schedule) or begin, max(begin, schedule.medication.paused_until or begin)
        )
        ahead = occurrences_ahead(schedule, since=now, changes=changes, history=known[schedule.id])
        for one, _ in takewhile(lambda dose: dose[0].due_at < until, ahead):
            if one.due_at >= since and (schedule.id, one.log_date, one.ordinal) not in written:
                found.append((schedule, one))
    return sorted(found, key=lambda one: (one[1].due_at, _id(*one)))


def _written(user: User, *, since: datetime, until: datetime, without: Q | None = None) -> set[Key]:
    """The keys of doses that are written, which may be ahead of the plan: taken early, for example."""
    dates = (since.date() - _AROUND, until.date() + _AROUND)
    doses = DoseLog.objects.filter(user=user, schedule__isnull=False, log_date__range=dates)
    if without:
        doses = doses.exclude(without)
    return {key for key in doses.values_list("schedule_id", "log_date", "ordinal") if key[0] is not None}


def _by_instant(dose: DoseLog) -> tuple[Any, UUID]:
    return dose.due_at, dose.id


def _tags(doses: Iterable[DoseLog]) -> dict[UUID, UUID]:
    """The tag of the push about each dose: the lowest id of those that are due at the same instant and have
    reminders, which share a push. `notifications/sql/enqueue_due.sql` does the same.
    """
    tags: dict[UUID, UUID] = {}
    lowest: dict[datetime | None, UUID] = {}
    # Ordered by instant and id, so that the first one of an instant has the lowest id.
    for dose in doses:
        if dose.schedule is not None and dose.schedule.reminder_enabled:
            tags[dose.id] = lowest.setdefault(dose.due_at, dose.id)
    return tags


def _next_of(user: User, schedule: Schedule, written: Collection[DoseLog], now: datetime) -> datetime | None:
    # Its zone may be the user's, which would be a query for each schedule.
    schedule.medication.user = user
    if not schedule.is_wanted:
        return None
    awaited = [
        dose.due_at
        for dose in written
        if dose.due_at and dose.answer_by and dose.status == DoseStatus.PENDING and not dose.withdrawn_at
    ]
    since = not_planned_from(schedule)
    if since is None or (awaited and min(awaited) < since):
        return min(awaited, default=None)
    keys = {(dose.log_date, dose.ordinal) for dose in written}
    later = occurrences(rule_of(schedule), zone=zone_of(schedule), since=max(since, now))
    unwritten = (one.due_at for one in later if (one.log_date, one.ordinal) not in keys and one.due_at > now)
    return min([*awaited, *islice(unwritten, 1)], default=None)
