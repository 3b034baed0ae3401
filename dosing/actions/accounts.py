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
from dosing.replanning import Move, replanning
from medtrack.database.results import ActionResult
from users.actions import end_sessions, lock_user
from users.models import User
from users.rates import count_zone_change


@dataclass(frozen=True)
class AccountResult(ActionResult[User]):
    """`moves` are the planned doses that are due at another instant than before."""

    moves: list[Move] = field(default_factory=list)


@transaction.atomic
def update_profile(*, by: User, changes: dict[str, Any], now: datetime) -> AccountResult:
    """Changes the user's own profile. Another time zone moves doses; those that were due stay.

    Raises Http404 and TooManyEdits.
    """
    user = lock_user(by.id)
    zone_before = user.timezone
    for name, value in changes.items():
        setattr(user, name, value)
    # Other changes move no dose, so they need no locks on the schedules.
    if user.timezone == zone_before:
        user.save(update_fields=[*changes, "updated_at"])
        return AccountResult(user, changed=True)
    count_zone_change(user)
    with replanning(_schedules_of(user), now=now) as moves:
        user.save(update_fields=[*changes, "updated_at"])
    return AccountResult(user, changed=True, moves=moves)


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
