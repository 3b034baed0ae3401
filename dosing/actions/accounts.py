"""Writes to a user's account that add, move or remove doses: its time zone, deactivating and reactivating it.

An inactive user has no doses: the planner moves their schedules on, but plans nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from dosing.models import Schedule
from dosing.previews import GapWarning
from dosing.replanning import Move, replanning
from dosing.zone_changes import travel_with, warnings_of
from medtrack.database.results import ActionResult
from users.actions import end_sessions, lock_user
from users.models import User
from users.rates import count_zone_change


@dataclass(frozen=True)
class ScheduleWarning:
    """What may surprise in the doses of a schedule after the time zone changed."""

    schedule_id: UUID
    medication_id: UUID
    warning: GapWarning


@dataclass(frozen=True)
class AccountResult(ActionResult[User]):
    """`moves` are the planned doses that are due at another instant than before, `warnings` what may surprise."""

    moves: list[Move] = field(default_factory=list)
    warnings: list[ScheduleWarning] = field(default_factory=list)


@transaction.atomic
def update_profile(
    *, by: User, changes: dict[str, Any], now: datetime, dry_run: bool = False
) -> AccountResult:
    """Changes the user's own profile. Another time zone moves doses; those that were due stay.

    With `dry_run` the result says what would happen, and nothing is changed. Raises Http404 and TooManyEdits.
    """
    user = lock_user(by.id)
    if changes.get("timezone", user.timezone) != user.timezone:
        count_zone_change(user)
    with transaction.atomic():
        result = _change_profile(user, changes, now)
        if dry_run:
            transaction.set_rollback(True)
    if dry_run:
        user.refresh_from_db()
        return AccountResult(user, changed=False, moves=result.moves, warnings=result.warnings)
    return result


def change_user_zone(user: User, *, timezone: str, by: User | None, now: datetime) -> AccountResult:
    """Changes the zone of a user whose row is locked. `by` is None at the ends of a trip."""
    with replanning(_schedules_of(user), now=now) as moves:
        travelled = travel_with(user, timezone=timezone, by=by, now=now)
        user.timezone = timezone
        user.save(update_fields=["timezone", "updated_at"])
    warnings = [
        ScheduleWarning(one.schedule.id, one.schedule.medication_id, warning)
        for one in travelled
        for warning in warnings_of(one, now=now)
    ]
    return AccountResult(user, changed=True, moves=moves, warnings=warnings)


def _change_profile(user: User, changes: dict[str, Any], now: datetime) -> AccountResult:
    others = {name: value for name, value in changes.items() if name != "timezone"}
    for name, value in others.items():
        setattr(user, name, value)
    user.save(update_fields=[*others, "updated_at"])
    timezone = changes.get("timezone", user.timezone)
    # Other changes move no dose, so they need no locks on the schedules.
    if timezone == user.timezone:
        return AccountResult(user, changed=True)
    return change_user_zone(user, timezone=timezone, by=user, now=now)


@transaction.atomic
def replan_user(*, user_id: UUID, now: datetime) -> AccountResult:
    """Re-plans the user's future doses by the schedules as they are, also those that were set aside.

    Raises Http404.
    """
    user = lock_user(user_id)
    with replanning(_schedules_of(user), now=now) as moves:
        # The rules stay as they are; leaving the block computes their doses again.
        pass
    return AccountResult(user, changed=True, moves=moves)


@transaction.atomic
def deactivate_account(*, user_id: UUID, now: datetime) -> AccountResult:
    """The user cannot sign in, all sessions end, and no dose falls due. Raises Http404.

    Reminders that are queued need no change: a claim finds that the user is inactive and drops them.
    """
    result = _set_active(user_id, is_active=False, now=now)
    if result.changed:
        end_sessions(user_id=user_id, now=now)
    return result


@transaction.atomic
def reactivate_account(*, user_id: UUID, now: datetime) -> AccountResult:
    """The user can sign in, and doses fall due again from `now` on. Raises Http404.

    The planner has moved the schedules past its horizon meanwhile, so they are re-planned at once.
    """
    return _set_active(user_id, is_active=True, now=now)


def _set_active(user_id: UUID, *, is_active: bool, now: datetime) -> AccountResult:
    user = lock_user(user_id)
    if user.is_active == is_active:
        return AccountResult(user, changed=False)
    with replanning(_schedules_of(user), now=now) as moves:
        # Inside the block, which first plans what fell due by `now` under the state before.
        user.is_active = is_active
        user.save(update_fields=["is_active", "updated_at"])
    return AccountResult(user, changed=True, moves=moves)


def _schedules_of(user: User) -> Iterable[UUID]:
    living = Schedule.objects.filter(medication__user=user, deleted_at=None)
    return living.values_list("id", flat=True)
