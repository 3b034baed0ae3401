"""Events that a phone recorded while it was offline: the rules that hold for all events of one request.

They are recorded in the order in which they are sent, each in a transaction of its own, so that one that
fails does not undo another, and the locks of two doses are never held at once.
"""

from collections.abc import Generator, Sequence
from datetime import timedelta
from enum import StrEnum
from time import sleep
from typing import TypeVar
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from dosing.status import Change
from medtrack.database.exclusive_lock import only_one
from medtrack.http.problems import TooMany

T = TypeVar("T")

SLICE = 25
PAUSE = 0.005  # seconds; as long as Python lets one thread run while another one waits
BUSY_FOR = timedelta(seconds=2)

# The `action` of an event: what users do to doses, and recording an intake.
INTAKE = "intake"
EVENT_ACTIONS = [*(change.value for change in Change if change is not Change.MISS), INTAKE]


class EventStatus(StrEnum):
    APPLIED = "applied"
    REPEATED = "repeated"
    SUPERSEDED = "superseded"
    REFUSED = "refused"


class EventsBusy(TooMany):
    """Another request with events of this user is being recorded.

    `Retry-After` says when to send these again.
    """

    default_detail = _("Other events of yours are being recorded. Send these again in a few seconds.")


def in_slices(events: Sequence[T], *, user_id: UUID) -> Generator[T, None, None]:
    """Yields the events while no other request records events of this user. Raises EventsBusy."""
    with only_one(f"flush {user_id}") as still_alone:
        if still_alone is None:
            raise EventsBusy(BUSY_FOR)
        for number, event in enumerate(events):
            if number and number % SLICE == 0:
                # Other requests of this process run in the pause.
                still_alone()
                sleep(PAUSE)
            yield event
