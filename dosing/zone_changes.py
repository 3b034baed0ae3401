"""Changes of the time zone, made and announced: the travel of each schedule, and the doses across a trip."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from dosing.cycles import Occurrence, occurrences
from dosing.models import DoseLog, Schedule
from dosing.planning import can_be_planned, rule_of, zone_of
from dosing.previews import GapWarning, Placed, gap_warnings
from dosing.replanning import LOCK_WAIT
from dosing.status import DoseStatus
from dosing.travel import Clock, History, ZoneChange, change_zone, travel_to_json
from medications.models import MedicationEvent
from users.models import Trip, User

# How far back doses are read. A dose before that is too old for a change of the zone to come close to it.
_REMEMBERED = timedelta(days=45)
# A trip's zone is applied within this time.
TRIP_DELAY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Travelled:
    """A schedule whose zone changed, the doses that it had before, and how it goes on by `clock`."""

    schedule: Schedule
    clock: Clock
    history: History
    change: ZoneChange


@dataclass(frozen=True, slots=True)
class ZoneAhead:
    """The user's time zone will change, at an instant in UTC."""

    at: datetime
    timezone: str


def clock_of(schedule: Schedule) -> Clock:
    return Clock(rule_of(schedule), zone_of(schedule))


def travel_with(user: User, *, timezone: str, by: User | None, now: datetime) -> list[Travelled]:
    """Makes the schedules that are on the user's clock go on in another zone; the caller re-plans them.

    The schedules must be locked, and planned up to `now`.
    """
    rows = Schedule.objects.filter(medication__user=user, deleted_at=None, timezone=None)
    schedules = [schedule for schedule in rows.select_related("medication__user") if can_be_planned(schedule)]
    known = histories([schedule.id for schedule in schedules], user=user, now=now)
    travelled = []
    for schedule in schedules:
        before = clock_of(schedule)
        after = replace(before, zone=ZoneInfo(timezone))
        travelled.append(travel(schedule, before, after, history=known[schedule.id], now=now))
    Schedule.objects.bulk_update([one.schedule for one in travelled], ["travel"])
    record(travelled, zones=(user.timezone, timezone), by=by)
    return travelled


def travel(schedule: Schedule, before: Clock, after: Clock, *, history: History, now: datetime) -> Travelled:
    """Sets the schedule's `travel` without saving it."""
    # In a pause no dose is due.
    begin = max(now, schedule.medication.paused_until or now)
    change = change_zone(before, after, now=begin, history=history)
    schedule.travel = travel_to_json(change.travel)
    rule = replace(after.rule, travel=change.travel)
    return Travelled(schedule, replace(after, rule=rule), history, change)


def record(travelled: Iterable[Travelled], *, zones: tuple[str, str], by: User | None) -> None:
    """Keeps for the medication's history why a date has no dose, or two. Without `by` it was a trip."""
    MedicationEvent.objects.bulk_create(
        MedicationEvent(
            medication=one.schedule.medication,
            schedule_id=one.schedule.id,
            action=MedicationEvent.Action.TRAVELLED,
            recorded_by=by,
            changes={
                "timezone": list(zones),
                **_dates("absorbed", one.change.absorbed),
                **_dates("lived_twice", one.change.lived_twice),
            },
        )
        for one in travelled
        if one.schedule.is_wanted and (one.change.absorbed or one.change.lived_twice)
    )


def _dates(name: str, days: Sequence[date]) -> dict[str, list[Any]]:
    """Before the change there were none, which is null as in all events."""
    return {name: [None, [day.isoformat() for day in days]]} if days else {}


def histories(schedule_ids: Collection[UUID], *, user: User, now: datetime) -> Mapping[UUID, History]:
    """The doses that a change of the zone at `now` leaves where they are, by schedule."""
    rows = DoseLog.objects.filter(
        user=user,
        schedule_id__in=schedule_ids,
        log_date__gte=(now - _REMEMBERED).date(),
    ).order_by("due_at")
    found: dict[UUID, History] = defaultdict(History)
    waiting: set[UUID] = set()
    columns = ("schedule_id", "log_date", "due_at", "quantity", "ordinal", "status", "withdrawn_at")
    for schedule_id, log_date, due_at, quantity, ordinal, status, withdrawn_at in rows.values_list(*columns):
        dose = Occurrence(log_date, due_at, quantity, ordinal)
        before = found[schedule_id]
        is_due = due_at <= now + LOCK_WAIT
        if withdrawn_at is not None:
            if is_due:
                # It keeps its ordinal, but the plan had no dose there.
                found[schedule_id] = replace(before, next_ordinals=before.with_dose(dose).next_ordinals)
        elif is_due or (status != DoseStatus.PENDING and schedule_id not in waiting):
            found[schedule_id] = before.with_dose(dose)
        else:
            # What was answered ahead of a dose that is still awaited is not the last one.
            waiting.add(schedule_id)
    return found


def zone_changes_ahead(user: User, now: datetime) -> list[ZoneAhead]:
    """The changes of the user's zone that trips will make after `now`, ascending."""
    changes: list[ZoneAhead] = []
    zone = user.timezone
    for trip in Trip.objects.filter(user=user, ended_at=None).order_by("starts_at"):
        back = trip.timezone_before
        if trip.started_at is None:
            if trip.ends_at and trip.ends_at <= now:
                continue
            back = zone
            changes.append(ZoneAhead(max(trip.starts_at, now), trip.timezone))
            zone = trip.timezone
        # Who changed the zone during the trip keeps it.
        if trip.ends_at and zone == trip.timezone:
            changes.append(ZoneAhead(max(trip.ends_at, now), back))
            zone = back
    return changes


def occurrences_ahead(
    schedule: Schedule,
    *,
    since: datetime,
    changes: Sequence[ZoneAhead],
    history: History,
) -> Iterator[tuple[Occurrence, ZoneInfo]]:
    """The occurrences due from `since` on, across the changes that trips will make, each with the zone of its
    time. Most rules have no end.

    `history` is that of `histories` at the present time.
    """
    clock = clock_of(schedule)
    # A schedule with a zone of its own stays on its clock.
    for change in () if schedule.timezone else changes:
        at = change.at + TRIP_DELAY
        for occurrence in occurrences(clock.rule, zone=clock.zone, since=since):
            if occurrence.due_at > at:
                break
            if history.last is None or occurrence.due_at > history.last.due_at:
                history = history.with_dose(occurrence)
            yield occurrence, clock.zone
        following = replace(clock, zone=ZoneInfo(change.timezone))
        begin = max(at, schedule.medication.paused_until or at)
        changed = change_zone(clock, following, now=begin, history=history)
        clock = replace(following, rule=replace(clock.rule, travel=changed.travel))
        since = max(since, at)
    for occurrence in occurrences(clock.rule, zone=clock.zone, since=since):
        yield occurrence, clock.zone


def warnings_of(travelled: Travelled, *, now: datetime) -> list[GapWarning]:
    """What may surprise in the doses after a change, up to the first one of the new clock."""
    if not travelled.schedule.is_wanted:
        return []
    rule, zone, last = travelled.clock.rule, travelled.clock.zone, travelled.history.last
    kept = rule.travel and rule.travel.kept
    found: list[GapWarning] = []
    previous: Placed | None = (last, None) if last else None
    since = max(now, last.due_at) if last else now
    for occurrence in occurrences(rule, zone=zone, since=since):
        if last is None or occurrence.due_at > last.due_at:
            found += gap_warnings(rule, previous, (occurrence, zone))
            previous = occurrence, zone
            if occurrence != kept:
                break
    return found
