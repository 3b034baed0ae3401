from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypedDict, cast

from django.contrib.postgres.aggregates import ArrayAgg
from django.db import models
from django.db.models import Count, F, FilteredRelation, Q
from django_stubs_ext import WithAnnotations

from dosing.adherence import ON_TIME
from dosing.status import DoseStatus
from users.models import User

if TYPE_CHECKING:
    from dosing.models import DoseLog, Schedule


class DosesOfPeriod(TypedDict):
    due: int
    taken: int
    planned: int
    planned_on: list[date] | None


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    def visible_to(self, user: User) -> "ScheduleQuerySet":
        return self.filter(medication__user=user, medication__deleted_at=None, deleted_at=None)

    def with_doses_of(
        self, user: User, first: date, last: date, *, now: datetime
    ) -> "models.QuerySet[WithAnnotations[Schedule, DosesOfPeriod]]":
        """All schedules of this person, ended ones too, and what their doses of these local dates came to.

        `planned` are the doses that count now or will; `planned_on` are the dates of all there are.
        """
        # In the join and not in the aggregates: otherwise every dose of the person's life would be read.
        of_period = FilteredRelation(
            "doses", condition=Q(doses__user=user, doses__log_date__range=(first, last))
        )
        schedules = (
            self.filter(medication__user=user)
            .select_related("medication")
            .annotate(of_period=of_period)
            .annotate(
                due=Count("of_period", filter=_counted(now, "of_period__")),
                taken=Count("of_period", filter=Q(of_period__status=DoseStatus.TAKEN)),
                planned=Count("of_period", filter=_settled("of_period__") | _awaited("of_period__")),
                planned_on=ArrayAgg("of_period__log_date", filter=Q(of_period__isnull=False)),
            )
        )
        return cast("models.QuerySet[WithAnnotations[Schedule, DosesOfPeriod]]", schedules)


class DoseLogQuerySet(models.QuerySet["DoseLog"]):
    def visible_to(self, user: User) -> "DoseLogQuerySet":
        return self.filter(user=user).select_related("medication")

    def counted(self, first: date, last: date, *, now: datetime) -> "DoseLogQuerySet":
        """The planned doses of these local dates that count as due at `now`."""
        return self.filter(_counted(now), schedule__isnull=False, log_date__range=(first, last))

    def figures_by(self, *keys: str) -> "models.QuerySet[DoseLog, dict[str, Any]]":
        """One row of figures for each value of the keys, in their order."""
        rows: models.QuerySet[DoseLog, dict[str, Any]] = (
            self.values(*keys)
            .annotate(
                due=Count("id"),
                taken=Count("id", filter=Q(status=DoseStatus.TAKEN)),
                skipped=Count("id", filter=Q(status=DoseStatus.SKIPPED)),
                missed=Count("id", filter=Q(status=DoseStatus.MISSED)),
                on_time=Count("id", filter=Q(taken_at__range=(F("due_at") - ON_TIME, F("due_at") + ON_TIME))),
            )
            .order_by(*keys)
        )
        return rows

    def figures_by_medication(self) -> "models.QuerySet[DoseLog, dict[str, Any]]":
        """One row of figures for each medication and local date, ordered by the medication's name."""
        medication = ("medication__name", "medication_id", "medication__dosage", "medication__color_tag")
        return self.figures_by(*medication, "log_date")


def _counted(now: datetime, of: str = "") -> Q:
    """What `dosing.adherence` calls due, of the relation whose lookups begin with `of`."""
    return _settled(of) | (_awaited(of) & Q(**{f"{of}due_at__lte": now}))


def _settled(of: str) -> Q:
    return Q(**{f"{of}status__in": [DoseStatus.TAKEN, DoseStatus.SKIPPED, DoseStatus.MISSED]})


def _awaited(of: str) -> Q:
    """Open, and somebody waits for an answer: not those whose medicine was paused or ended."""
    return Q(**{f"{of}status": DoseStatus.PENDING, f"{of}answer_by__isnull": False})
