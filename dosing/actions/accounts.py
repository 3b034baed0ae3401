"""Accounts that rest, and what that means for doses: of somebody inactive nothing falls due."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from django.db import transaction

from dosing.models import Schedule
from dosing.replanning import Move, replanning
from users.actions import end_sessions, lock_user
from users.models import User


@transaction.atomic
def replan_person(*, user: User, now: datetime) -> list[Move]:
    """The person's doses to come are those of their schedules as they stand; what was set aside is tried again.

    Raises Http404.
    """
    with _replanned(lock_user(user.id), now) as moves:
        pass
    return moves


@transaction.atomic
def deactivate_account(*, user: User, now: datetime) -> bool:
    """Nobody can sign in, all sessions end, and nothing falls due; returns False when that was so already.

    Reminders that wait are moot as soon as they are claimed: a claim looks at the person. Raises Http404.
    """
    return _set_active(user.id, False, now)


@transaction.atomic
def reactivate_account(*, user: User, now: datetime) -> bool:
    """Doses fall due again from now on; returns False when they did already. Raises Http404.

    The planner moved the schedules on meanwhile, up to its horizon, so without planning them anew at once there
    would be no dose until then.
    """
    return _set_active(user.id, True, now)


def _set_active(user_id: UUID, is_active: bool, now: datetime) -> bool:
    person = lock_user(user_id)
    if person.is_active == is_active:
        return False
    with _replanned(person, now):
        person.is_active = is_active
        person.save(update_fields=["is_active", "updated_at"])
    if not is_active:
        end_sessions(user_id=user_id, now=now)
    return True


@contextmanager
def _replanned(person: User, now: datetime) -> Iterator[list[Move]]:
    mine = Schedule.objects.filter(medication__user=person, deleted_at=None)
    with replanning(mine.values_list("id", flat=True), now=now) as moves:
        yield moves
