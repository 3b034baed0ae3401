"""Events that a phone kept while it was offline, each with an answer of its own.

They are recorded in the order in which they are sent, each in a transaction of its own: one that fails takes no
other with it, and the locks of two doses are never held at once. One request of a person is recorded at a time, with
a short pause after every few events in which other requests of the process go on.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from time import sleep
from typing import Any
from uuid import UUID

import structlog
from django.db import InterfaceError, InternalError, OperationalError
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.serializers import Serializer

from dosing.actions import doses, intakes
from dosing.models import DoseLog
from dosing.serializers import (
    AmendInput,
    DoseEventHead,
    EventHead,
    EventKind,
    IntakeInput,
    SkipInput,
    SnoozeInput,
    TakeInput,
    UndoInput,
)
from medtrack.database.clock import database_now
from medtrack.database.exclusive_lock import only_one
from medtrack.http.fields import IdField
from medtrack.http.problems import TooMany, Unavailable, body_of, internal_error
from medtrack.http.requests import checked
from users.models import Session, User

log = structlog.get_logger(__name__)

SLICE = 25
PAUSE = 0.005  # seconds; as long as Python lets one thread run before another one that waits
BUSY_FOR = timedelta(seconds=2)
# The server is away, overloaded or a standby. What is wrong with one event alone is another subclass of Error.
DATABASE_FAILED = (OperationalError, InterfaceError, InternalError)


class EventsBusy(TooMany):
    """Another request with events of this person is being recorded; `Retry-After` says when to send this one again."""

    default_detail = _("Other events of yours are just being recorded. Send these again in a few seconds.")


class EventsUnavailable(Unavailable):
    """The database failed meanwhile. Some events may have been recorded: sending them all again is harmless."""

    default_detail = _("Your events could not be recorded. Send them again in a few seconds.")


_ACTIONS: dict[EventKind, tuple[type[Serializer[Any]], Callable[..., doses.DoseResult]]] = {
    EventKind.TAKE: (TakeInput, doses.take_dose),
    EventKind.SKIP: (SkipInput, doses.skip_dose),
    EventKind.UNDO: (UndoInput, doses.undo_dose),
    EventKind.SNOOZE: (SnoozeInput, doses.snooze_dose),
    EventKind.AMEND: (AmendInput, doses.amend_dose),
}


class EventStatus(StrEnum):
    APPLIED = "applied"
    REPEATED = "repeated"
    REFUSED = "refused"


@dataclass(frozen=True)
class Answer:
    """What became of one event: the dose after it, or the problem with it."""

    event_id: UUID | None
    status: EventStatus
    dose: DoseLog | None = None
    over_limit: bool = False
    problem: dict[str, Any] | None = None


def record_events(*, events: Sequence[Any], by: User, session: Session) -> list[Answer]:
    """One answer for each event, whatever was sent as one. Raises EventsBusy and EventsUnavailable."""
    answers: list[Answer] = []
    try:
        with only_one(f"flush {by.id}") as still_alone:
            if still_alone is None:
                raise EventsBusy(BUSY_FOR)
            for start in range(0, len(events), SLICE):
                if start:
                    still_alone()
                    sleep(PAUSE)
                answers += [_answer(event, by, session) for event in events[start : start + SLICE]]
    except DATABASE_FAILED as error:
        raise EventsUnavailable from error
    return answers


def _answer(event: Any, by: User, session: Session) -> Answer:
    try:
        _refuse_unreadable(event)
        result = _record(event, by, session)
    except DATABASE_FAILED:  # the next event would fare no better, and none of them is at fault
        raise
    except Exception as error:
        problem = body_of(error)
        if problem is None:  # a defect of ours must not keep a phone from ever sending the rest
            log.exception("event failed")
            problem = internal_error()
        return Answer(_id_of(event), EventStatus.REFUSED, problem=problem)
    status = EventStatus.APPLIED if result.changed else EventStatus.REPEATED
    return Answer(_id_of(event), status, result.object, over_limit=result.over_limit)


def _refuse_unreadable(event: Any) -> None:
    """Raises ParseError for half a surrogate pair, which no answer could repeat either."""
    try:
        json.dumps(event, ensure_ascii=False).encode()
    except (UnicodeError, RecursionError) as error:
        raise ParseError from error


def _record(event: Any, by: User, session: Session) -> doses.DoseResult:
    kind = EventKind(checked(EventHead, event)["action"])
    who: dict[str, Any] = {"by": by, "session": session}
    if kind is EventKind.INTAKE:
        said = checked(EventHead, event) | checked(IntakeInput, event)
        occurred_at = said.pop("occurred_at", None)
        names = {"id": said["event_id"], "taken_at": occurred_at}
        del said["action"]
        return intakes.log_intake(**who, now=database_now(), **names | said)
    serializer, act = _ACTIONS[kind]
    said = checked(serializer, event) | checked(DoseEventHead, event)
    del said["action"]
    return act(**who, now=database_now(), **said)


def _id_of(event: Any) -> UUID | None:
    try:
        id: UUID = IdField().to_internal_value(event["event_id"])
    except (ValidationError, LookupError, TypeError):
        return None
    return id
