from collections import Counter
from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, TypedDict, cast
from uuid import UUID

from django.contrib.postgres.aggregates import ArrayAgg
from django.db import models
from django.db.models import Count, F, FilteredRelation, Q
from django.db.models.functions import Coalesce
from django_stubs_ext import WithAnnotations

from dosing.adherence import ON_TIME
from dosing.as_taken import answered_at, description_at
from dosing.status import DoseStatus
from users.models import User
from users.zones import zones_by_date

if TYPE_CHECKING:
    from dosing.models import DoseLog, Schedule


_STATES = ("taken", "skipped", "missed", "still_open", "later")


class DosesOfPeriod(TypedDict):
    due: int
    taken: int
    planned: int
    planned_on: list[date] | None
    planned_ordinals: list[int] | None


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    def visible_to(self, user: User) -> "ScheduleQuerySet":
        return self.filter(medication__user=user, medication__deleted_at=None, deleted_at=None)

    def with_doses_of(
        self, user: User, first: date, last: date, *, now: datetime
    ) -> "models.QuerySet[WithAnnotations[Schedule, DosesOfPeriod]]":
        """All schedules of the user, ended ones included, with numbers of their doses on these local dates.

        `due` counts the doses due at `now`, `planned` also those that will be. `planned_on` has the dates of
        all that are written and `planned_ordinals` their ordinals, in the same order.
        """
        # The dates are a condition of the join: as conditions of the aggregates they would read all doses of
        # the user.
        of_period = FilteredRelation(
            "doses", condition=Q(doses__user=user, doses__log_date__range=(first, last))
        )
        is_written, order = Q(of_period__isnull=False), ("of_period__log_date", "of_period__ordinal")
        schedules = (
            self.filter(medication__user=user)
            .select_related("medication")
            .annotate(of_period=of_period)
            .annotate(
                due=Count("of_period", filter=_counted(now, "of_period__")),
                taken=Count(
                    "of_period",
                    filter=Q(of_period__status=DoseStatus.TAKEN, of_period__withdrawn_at=None),
                ),
                planned=Count("of_period", filter=_settled("of_period__") | _awaited("of_period__")),
                planned_on=ArrayAgg("of_period__log_date", filter=is_written, order_by=order),
                planned_ordinals=ArrayAgg("of_period__ordinal", filter=is_written, order_by=order),
            )
        )
        return cast("models.QuerySet[WithAnnotations[Schedule, DosesOfPeriod]]", schedules)


class DoseLogQuerySet(models.QuerySet["DoseLog"]):
    def visible_to(self, user: User) -> "DoseLogQuerySet":
        return self.filter(user=user).select_related("medication")

    def history(
        self, *, first: date | None, last: date, medication_id: UUID | None, status: DoseStatus | None
    ) -> "DoseLogQuerySet":
        """The doses of these local dates, both inclusive, of one medication or status or of all.

        `effective_at` is the instant that orders the doses of a day: when a dose was due, or an intake was
        taken.
        """
        filters = {"log_date__gte": first, "medication_id": medication_id, "status": status}
        given = {name: value for name, value in filters.items() if value is not None}
        # An as-needed intake that was undone has neither instant.
        doses = self.filter(_is_visible(), log_date__lte=last, **given).exclude(
            schedule=None, status=DoseStatus.PENDING
        )
        return doses.described().annotate(effective_at=Coalesce("due_at", "taken_at"))

    def described(self) -> "DoseLogQuerySet":
        """Reads with each dose how its medication was described when it was answered."""
        return self.annotate(earlier=description_at("medication", answered_at()))

    def counted(self, first: date, last: date, *, now: datetime) -> "DoseLogQuerySet":
        """The planned doses of these local dates, both inclusive, that count as due at `now`, and those that
        were taken though the plan no longer has them.
        """
        counted = _counted(now) | Q(status=DoseStatus.TAKEN)
        return self.filter(counted, schedule__isnull=False, log_date__range=(first, last))

    def of_today(self, *, now: datetime) -> "DoseLogQuerySet":
        """The planned doses of each user's local date of `now`."""
        today = (Q(log_date=day, user__timezone__in=zones) for day, zones in zones_by_date(now).items())
        return self.filter(reduce(or_, today), schedule__isnull=False)

    def due(self, *, now: datetime) -> "DoseLogQuerySet":
        return self.filter(_counted(now))

    def still_open(self, *, now: datetime) -> "DoseLogQuerySet":
        return self.filter(_awaited(), due_at__lte=now)

    def later(self, *, now: datetime) -> "DoseLogQuerySet":
        return self.filter(_awaited(), due_at__gt=now)

    def count_today(self, *, now: datetime) -> Counter[str]:
        """Numbers of the doses of `of_today`: taken, skipped, missed, due and still open, and due later."""
        # Counts by zone and date, which are few. Comparing each dose's zone with hundreds of names takes
        # twice as long.
        days = zones_by_date(now)
        rows = (
            self.filter(log_date__in=list(days), schedule__isnull=False)
            .values_list("user__timezone", "log_date")
            .annotate(
                taken=Count("id", filter=Q(status=DoseStatus.TAKEN)),
                skipped=Count("id", filter=Q(status=DoseStatus.SKIPPED)),
                missed=Count("id", filter=Q(status=DoseStatus.MISSED)),
                still_open=Count("id", filter=_awaited() & Q(due_at__lte=now)),
                later=Count("id", filter=_awaited() & Q(due_at__gt=now)),
            )
        )
        today = {(zone, day) for day, zones in days.items() for zone in zones}
        numbers: Counter[str] = Counter()
        for zone, day, *counts in rows:
            if (zone, day) in today:
                numbers.update(dict(zip(_STATES, counts, strict=True)))
        return numbers

    def figures_by(self, *keys: str) -> "models.QuerySet[DoseLog, dict[str, Any]]":
        """One row of numbers for each combination of the keys' values, ordered by them."""
        planned = Q(withdrawn_at=None)
        on_time = Q(taken_at__range=(F("due_at") - ON_TIME, F("due_at") + ON_TIME))
        rows: models.QuerySet[DoseLog, dict[str, Any]] = (
            self.values(*keys)
            .annotate(
                due=Count("id", filter=planned),
                taken=Count("id", filter=planned & Q(status=DoseStatus.TAKEN)),
                skipped=Count("id", filter=planned & Q(status=DoseStatus.SKIPPED)),
                missed=Count("id", filter=planned & Q(status=DoseStatus.MISSED)),
                on_time=Count("id", filter=planned & on_time),
                taken_extra=Count("id", filter=Q(withdrawn_at__isnull=False)),
            )
            .order_by(*keys)
        )
        return rows

    def figures_by_medication(self) -> "models.QuerySet[DoseLog, dict[str, Any]]":
        """One row of numbers for each medication and local date, ordered by the medication's name."""
        medication = ("medication__name", "medication_id", "medication__dosage", "medication__color_tag")
        return self.figures_by(*medication, "log_date")


def _is_visible() -> Q:
    """What the plan no longer has is visible only if it was answered."""
    return Q(withdrawn_at=None) | Q(status__in=[DoseStatus.TAKEN, DoseStatus.SKIPPED])


def _counted(now: datetime, of: str = "") -> Q:
    """Doses that are due as `dosing.adherence` defines it; in SQL `medtrack_is_due`.

    `of` is the prefix of lookups on a relation to doses.
    """
    return _settled(of) | (_awaited(of) & Q(**{f"{of}due_at__lte": now}))


def _settled(of: str) -> Q:
    answered = [DoseStatus.TAKEN, DoseStatus.SKIPPED, DoseStatus.MISSED]
    return Q(**{f"{of}status__in": answered, f"{of}withdrawn_at": None})


def _awaited(of: str = "") -> Q:
    """Pending doses whose answer is awaited: not those whose medication was paused or ended."""
    return Q(
        **{f"{of}status": DoseStatus.PENDING, f"{of}answer_by__isnull": False, f"{of}withdrawn_at": None}
    )
