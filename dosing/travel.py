"""How a plan goes on after a change of its time zone. Pure: no clock, no database; instants are in UTC.

The result is a `dosing.cycles.Travel`, stored in the schedule's `travel` (JSON). It is computed from the doses
that there are, and not from the travel before, so that a chain of changes neither loses nor doubles a dose.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from dosing.cycles import Cycle, Daily, Occurrence, Rule, Taper, Travel, due_instant, occurrences

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class History:
    """The doses of a schedule that a change of the time zone leaves where they are.

    `last` is the last one that was due, or that was answered before it was due. `next_ordinals` has the dates
    that have doses already, withdrawn ones too, with the first ordinal that is free on each; on those of
    `lived` the plan had a dose.
    """

    last: Occurrence | None = None
    next_ordinals: Mapping[date, int] = field(default_factory=dict)
    lived: frozenset[date] = frozenset()

    def with_dose(self, dose: Occurrence) -> "History":
        ordinal = max(self.next_ordinals.get(dose.log_date, 0), dose.ordinal + 1)
        return History(dose, {**self.next_ordinals, dose.log_date: ordinal}, self.lived | {dose.log_date})


@dataclass(frozen=True, slots=True)
class Clock:
    """A rule in a time zone."""

    rule: Rule
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """How a schedule goes on. The dates of `absorbed` have no dose, those of `lived_twice` have another one."""

    travel: Travel | None
    absorbed: tuple[date, ...] = ()
    lived_twice: tuple[date, ...] = ()


def least_gap(cycle: Cycle) -> timedelta | None:
    """How close a change of the time zone may bring two doses: half the usual gap, at most a day."""
    usual = cycle.usual_gap()
    return None if usual is None else min(usual / 2, _DAY)


def own_gap(cycle: Cycle, start: date, day: date) -> timedelta | None:
    """The gap from a date to the cycle's next date; None if it has no regular gap, or no date follows."""
    usual = cycle.usual_gap()
    following = next(endless(cycle).dates(start, max(start, day + _DAY)), None)
    return None if usual is None or following is None else max(usual, following - day)


def endless(cycle: Cycle) -> Cycle:
    """The cycle without the end that a taper has: travel moves it to another date."""
    return Daily() if isinstance(cycle, Taper) else cycle


def change_zone(before: Clock, after: Clock, *, now: datetime, history: History) -> ZoneChange:
    """How the plan goes on by the clock `after` from `now` on; `before` is the clock up to now.

    It goes on at the first occurrence of the new clock that is not past and at least `least_gap` after the
    last dose. If that is too late, the next occurrence of the clock before stays, and the new clock goes on
    from it.
    """
    upcoming = _upcoming(before, now, history.last)
    planned = next(upcoming, None)
    first, not_before = _first(after, history, now, is_awaited=planned is not None)
    kept = None
    if planned and _is_too_late(after.rule, first, planned, history.last):
        kept, planned_next = planned, next(upcoming, None)
        first, not_before = _first(
            after, history.with_dose(kept), kept.due_at, is_awaited=planned_next is not None
        )
        shift = _shift(before, after, first, planned_next)
        history_then = history.with_dose(kept)
    else:
        shift = _shift(before, after, first, planned)
        history_then = history
    # Without a dose before, nothing that the new clock had before `now` was due.
    last_due_at = history.last.due_at if history.last else now - 2 * _DAY
    ordinals = {
        day: ordinal
        for day, ordinal in history_then.next_ordinals.items()
        if _due_at(after, day) >= not_before
    }
    absorbed = tuple(_absorbed(after, planned, first, history_then))
    travel = Travel(last_due_at, not_before, kept, ordinals, shift, absorbed)
    return ZoneChange(
        travel if _has_effect(after, travel, history.last) else None,
        absorbed,
        tuple(sorted(day for day in ordinals if day in history_then.lived)),
    )


def after_edit(travel: Travel | None, rule: Rule, *, is_same_course: bool, now: datetime) -> Travel | None:
    """What is left of `travel` when the rule, now `rule`, is edited at `now`.

    The bound holds as long as it lies ahead, an ordinal until its date is over. `is_same_course` is False
    when the cycle or its start was changed: then the steps of a taper are counted anew.
    """
    if travel is None:
        return None
    kept = travel.kept
    if kept and (kept.due_at <= now or not is_same_course or not _is_in_span(kept.log_date, rule)):
        kept = None
    if kept and not isinstance(rule.cycle, Taper):
        kept = kept._replace(quantity=rule.quantity)
    recent = (now - 3 * _DAY).date()
    ordinals = {day: ordinal for day, ordinal in travel.ordinals.items() if day >= recent}
    shift = travel.shift if is_same_course else 0
    if kept is None and not ordinals and not shift and travel.not_before <= now:
        return None
    return replace(travel, kept=kept, ordinals=ordinals, shift=shift)


def _upcoming(clock: Clock, now: datetime, last: Occurrence | None) -> Iterator[Occurrence]:
    """The occurrences to come, without one that was answered already."""
    since = max(now, last.due_at) if last else now
    for occurrence in occurrences(clock.rule, zone=clock.zone, since=since):
        if last is None or occurrence.due_at > last.due_at:
            yield occurrence


def _first(
    clock: Clock, history: History, now: datetime, *, is_awaited: bool
) -> tuple[Occurrence | None, datetime]:
    """The first occurrence of a new clock that may be due, and the instant from which occurrences may be.

    A date that was lived is lived again only where the gap would be too long without it, and never if no dose
    `is_awaited` any more: a weekly injection is not due on two Mondays.
    """
    last = history.last
    gap = least_gap(clock.rule.cycle)
    not_before = now if last is None or gap is None else max(now, last.due_at + gap)
    lived_first: tuple[Occurrence, datetime] | None = None
    for occurrence in occurrences(_natural(clock.rule), zone=clock.zone, since=not_before):
        if occurrence.log_date not in history.lived:
            if lived_first and is_awaited and _is_longer(clock.rule, occurrence, last):
                return lived_first
            return occurrence, not_before
        lived_first = lived_first or (occurrence, not_before)
        not_before = occurrence.due_at + _SECOND
    return None, not_before


def _is_longer(rule: Rule, occurrence: Occurrence, last: Occurrence | None) -> bool:
    """Whether this is more than one and a half usual gaps after the last dose."""
    if last is None:
        return False
    own = own_gap(rule.cycle, rule.start_date, last.log_date)
    return own is not None and occurrence.due_at - last.due_at > own * 3 / 2


def _is_too_late(rule: Rule, first: Occurrence | None, planned: Occurrence, last: Occurrence | None) -> bool:
    """Whether the next occurrence of the clock before, `planned`, must stay at its instant."""
    if first is None:
        return True
    if first.due_at <= planned.due_at:
        return False
    usual = rule.cycle.usual_gap()
    if usual is None:
        # Each of the dates counts: it may not be passed over.
        return first.log_date > planned.log_date
    if last is None:
        return first.due_at - planned.due_at > min(usual, _DAY)
    return _is_longer(rule, first, last)


def _shift(before: Clock, after: Clock, first: Occurrence | None, planned: Occurrence | None) -> int:
    """By how many days the steps of a taper are later: `first` has the step of `planned`."""
    taper, travel = after.rule.cycle, before.rule.travel
    if not isinstance(taper, Taper) or _course(before.rule) != _course(after.rule):
        return 0
    shift = travel.shift if travel else 0
    if first is None or planned is None:
        return shift
    day = planned.log_date
    if travel and planned == travel.kept:
        # It has the step before that of the next occurrence, which already counts by the new shift.
        following = next(_upcoming(before, planned.due_at, planned), None)
        length = sum(days for days, _quantity in taper.steps)
        end = before.rule.start_date + (shift + length) * _DAY
        day = (following.log_date if following else end) - _DAY
    return shift + (first.log_date - day).days


def _absorbed(
    clock: Clock, planned: Occurrence | None, first: Occurrence | None, history: History
) -> Iterator[date]:
    if planned is None or first is None:
        return
    start = clock.rule.start_date
    for day in endless(clock.rule.cycle).dates(start, max(start, planned.log_date)):
        if day >= first.log_date:
            return
        if day not in history.lived:
            yield day


def _has_effect(clock: Clock, travel: Travel, last: Occurrence | None) -> bool:
    if travel.kept or travel.ordinals or travel.shift or travel.absorbed:
        return True
    for occurrence in occurrences(_natural(clock.rule), zone=clock.zone, since=travel.last_due_at):
        if occurrence.due_at >= travel.not_before:
            return False
        if last is None or (occurrence.due_at, occurrence.log_date) != (last.due_at, last.log_date):
            return True
    return False


def _natural(rule: Rule) -> Rule:
    """The rule as if there had been no travel; a taper's steps may end later than without it."""
    return replace(rule, cycle=endless(rule.cycle), travel=None)


def _due_at(clock: Clock, day: date) -> datetime:
    return due_instant(day, clock.rule.scheduled_time, clock.zone)


def _course(rule: Rule) -> tuple[Cycle, date]:
    return rule.cycle, rule.start_date


def _is_in_span(day: date, rule: Rule) -> bool:
    return rule.start_date <= day and (rule.end_date is None or day <= rule.end_date)


def travel_from_json(stored: dict[str, Any] | None) -> Travel | None:
    if stored is None:
        return None
    return Travel(
        last_due_at=datetime.fromisoformat(stored["last_due_at"]),
        not_before=datetime.fromisoformat(stored["not_before"]),
        kept=_occurrence(stored["kept"]),
        ordinals={date.fromisoformat(day): ordinal for day, ordinal in stored["ordinals"].items()},
        shift=stored["shift"],
        absorbed=tuple(map(date.fromisoformat, stored["absorbed"])),
    )


def travel_to_json(travel: Travel | None) -> dict[str, Any] | None:
    if travel is None:
        return None
    kept = travel.kept
    return {
        "last_due_at": travel.last_due_at.isoformat(),
        "not_before": travel.not_before.isoformat(),
        "kept": kept
        and {
            "log_date": kept.log_date.isoformat(),
            "due_at": kept.due_at.isoformat(),
            "quantity": str(kept.quantity),
            "ordinal": kept.ordinal,
        },
        "ordinals": {day.isoformat(): ordinal for day, ordinal in travel.ordinals.items()},
        "shift": travel.shift,
        "absorbed": [day.isoformat() for day in travel.absorbed],
    }


def _occurrence(stored: dict[str, Any] | None) -> Occurrence | None:
    if stored is None:
        return None
    return Occurrence(
        log_date=date.fromisoformat(stored["log_date"]),
        due_at=datetime.fromisoformat(stored["due_at"]),
        quantity=Decimal(stored["quantity"]),
        ordinal=stored["ordinal"],
    )
