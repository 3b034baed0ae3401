"""Trips: the user's time zone changes by itself when one starts and when it ends."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _

from dosing.actions.accounts import change_user_zone
from medtrack.database.ids import uuid7
from medtrack.database.results import ActionResult
from medtrack.database.unique_ids import id_conflicts
from medtrack.http.problems import Conflict, IdConflict, field_error
from users.actions import lock_user
from users.models import Trip, User
from users.rates import count_zone_change

MAX_TRIPS = 100
# How far from now a trip may begin.
EARLIEST, LATEST = timedelta(days=-1), timedelta(days=400)


class TripsOverlap(Conflict):
    """The user has another trip at this time; `trip_id` names it."""

    default_detail = _("You have another trip at this time. Delete it, or choose other times.")
    default_code = "trips_overlap"


@transaction.atomic
def create_trip(
    *,
    by: User,
    timezone: str,
    starts_at: datetime,
    ends_at: datetime | None = None,
    now: datetime,
    id: UUID | None = None,
) -> ActionResult[Trip]:
    """Plans a trip. It starts with the next run of `start_and_end_trips`.

    Raises Http404, ValidationError, IdConflict, TripsOverlap and TooManyEdits.
    """
    user = lock_user(by.id)
    trip = Trip(id=id or uuid7(), user=user, timezone=timezone, starts_at=starts_at, ends_at=ends_at)
    if known := Trip.objects.filter(id=trip.id).first():
        same = ("user_id", "timezone", "starts_at", "ends_at")
        if any(getattr(known, name) != getattr(trip, name) for name in same):
            raise IdConflict
        return ActionResult(known, changed=False)
    if not now + EARLIEST <= starts_at <= now + LATEST:
        raise field_error(
            "starts_at", _("A trip starts between a day ago and 400 days from now."), code="out_of_range"
        )
    if ends_at is not None and ends_at <= max(starts_at, now):
        raise field_error(
            "ends_at", _("A trip ends after it starts, and not in the past."), code="before_start"
        )
    open_trips = Trip.objects.filter(user=user, ended_at=None)
    if open_trips.filter(Q(started_at=None) | Q(ends_at__isnull=False)).count() >= MAX_TRIPS:
        raise field_error(
            "", _("You have too many trips. Delete one that you no longer need."), code="too_many"
        )
    if other := _overlapping(open_trips, trip):
        raise TripsOverlap(trip_id=str(other.id))
    count_zone_change(user)
    with id_conflicts():
        trip.save(force_insert=True)
    trip.refresh_from_db()
    return ActionResult(trip, changed=True)


@transaction.atomic
def delete_trip(*, trip_id: UUID, by: User, now: datetime) -> None:
    """Takes a trip back. One that has started ends now: the zone returns, unless it was changed meanwhile.

    Raises Http404 and TooManyEdits.
    """
    user = lock_user(by.id)
    trip = get_object_or_404(Trip.objects.filter(user=user), id=trip_id)
    if trip.started_at and trip.ended_at is None:
        count_zone_change(user)
        _end(trip, user, by=user, now=now)
    trip.delete()


def users_with_due_trips(*, now: datetime, limit: int) -> list[UUID]:
    """Users with a trip that is to start or to end by `now`."""
    rows = Trip.objects.filter(_due(now), user__deleted_at=None)
    return list(rows.order_by("user_id").distinct("user_id").values_list("user_id", flat=True)[:limit])


@transaction.atomic
def start_and_end_trips(*, user_id: UUID, now: datetime) -> None:
    """Starts and ends the user's trips that are due. A repeat finds none. Raises Http404."""
    user = lock_user(user_id)
    for trip in Trip.objects.filter(_due(now), user=user).order_by("starts_at"):
        if trip.started_at is None:
            trip.started_at, trip.timezone_before = now, user.timezone
            # One that is over already, after an outage, changes no zone.
            if trip.ends_at and trip.ends_at <= now:
                trip.ended_at = now
            trip.save(update_fields=["started_at", "timezone_before", "ended_at"])
            if trip.ended_at is None and user.timezone != trip.timezone:
                change_user_zone(user, timezone=trip.timezone, by=None, now=now)
        else:
            _end(trip, user, by=None, now=now)


def _end(trip: Trip, user: User, *, by: User | None, now: datetime) -> None:
    trip.ended_at = now
    trip.save(update_fields=["ended_at"])
    # Who changed the zone during the trip keeps it.
    if user.timezone == trip.timezone and trip.timezone_before != user.timezone:
        change_user_zone(user, timezone=trip.timezone_before, by=by, now=now)


def _due(now: datetime) -> Q:
    starts = Q(started_at=None, starts_at__lte=now)
    return starts | Q(started_at__isnull=False, ended_at=None, ends_at__lte=now)


def _overlapping(trips: QuerySet[Trip], trip: Trip) -> Trip | None:
    """A trip without an end takes an instant only: from then on the user is at home in its zone."""
    for other in trips.filter(Q(started_at=None) | Q(ends_at__isnull=False)):
        if trip.starts_at == other.starts_at:
            return other
        earlier, later = sorted((trip, other), key=lambda one: one.starts_at)
        if earlier.ends_at and later.starts_at < earlier.ends_at:
            return other
    return None
