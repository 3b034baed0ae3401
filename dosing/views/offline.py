"""`POST /doses/events`: each event is validated, recorded and answered by itself."""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

import structlog
from django.db import InterfaceError, InternalError, OperationalError
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from dosing import examples
from dosing.actions import doses, intakes
from dosing.actions.doses import DoseResult
from dosing.models import DoseLog
from dosing.offline import EVENT_ACTIONS, INTAKE, EventsBusy, EventStatus, in_slices
from dosing.refusals import NotPlanned
from dosing.serializers import (
    AmendInput,
    DoseEventHead,
    EventAnswersOutput,
    EventHead,
    EventsInput,
    IntakeInput,
    SkipInput,
    SnoozeInput,
    TakeInput,
    UndoInput,
)
from dosing.status import Change, Notice
from medtrack.database.clock import database_now
from medtrack.http.fields import IdField
from medtrack.http.openapi import documented
from medtrack.http.problems import Unavailable, body_of, internal_error
from medtrack.http.requests import LooseJSONParser, validated_body, validated_data
from medtrack.http.responses import serialized
from users.authentication import caller, caller_session
from users.models import Session, User

log = structlog.get_logger(__name__)

# The database server is away, overloaded or a standby. Errors of a single event have other classes.
DATABASE_FAILED = (OperationalError, InterfaceError, InternalError)
_ACTIONS: dict[Change, tuple[type[Serializer[Any]], Callable[..., DoseResult]]] = {
    Change.TAKE: (TakeInput, doses.take_dose),
    Change.SKIP: (SkipInput, doses.skip_dose),
    Change.UNDO: (UndoInput, doses.undo_dose),
    Change.SNOOZE: (SnoozeInput, doses.snooze_dose),
    Change.AMEND: (AmendInput, doses.amend_dose),
}
# The names that the fields of each action's events have.
_KNOWN = {
    INTAKE: {*EventHead().fields, *IntakeInput().fields},
    **{
        change.value: {*DoseEventHead().fields, *serializer().fields}
        for change, (serializer, _action) in _ACTIONS.items()
    },
}
_NOTICES = {
    Notice.ONE_DOSE_OR_TWO: _("You have said twice that you took this dose. Was it one dose or two?"),
    Notice.SKIPPED_BY_OTHER: _("Another person had recorded this dose as skipped."),
}
# Of the names that are ignored the answer has so many, and so much of each.
MOST_IGNORED = 20
MOST_OF_A_NAME = 50


class EventsUnavailable(Unavailable):
    """The database failed. Some events may have been recorded: it is safe to send all of them again."""

    default_detail = _("Your events could not be recorded. Send them again in a few seconds.")


@dataclass(frozen=True)
class EventAnswer:
    """The dose after an event, or the problem with it."""

    event_id: UUID | None
    status: EventStatus
    dose: DoseLog | None = None
    over_limit: bool = False
    problem: dict[str, Any] | None = None
    recorded_as: str | None = None
    reason: str | None = None
    flags: Sequence[str] = ()
    notices: Sequence[dict[str, str]] = ()
    ignored: Sequence[str] = ()


class DoseEvents(APIView):
    parser_classes = (LooseJSONParser,)

    @documented(
        "recordDoseEvents",
        "Record what happened while the phone was offline",
        EventsBusy,
        EventsUnavailable,
        request=EventsInput,
        responses=EventAnswersOutput,
        description=(
            "Records up to 500 events that a phone kept while it was offline, and returns a result for each. "
            "They are recorded in the order in which they are sent; `occurred_at` is stored with the event "
            "and does not change the order. An event that was recorded before, or that changes nothing, is "
            "`repeated`: it is safe to send the same events again. An undo of an answer that is not the latest "
            "is `superseded` and changes nothing; so is an event about a dose that the plan no longer has, "
            "unless it was taken. An event that is `refused` has the problem that it would have had alone. What "
            "a person took is recorded in any case: `flags` say what would have been refused, an instant in the "
            "future is now, and a dose that the plan no longer has is an intake of its medication "
            "(`recorded_as`). Something else about a dose that was taken is kept and asked about (`notices`). "
            "Fields that the action does not have are `ignored`. The default of an `intake`'s `taken_at` is its "
            "`occurred_at`. The events of one request per user are recorded at a time: another request "
            "meanwhile is 429 `EventsBusy`. After a 503 some events may have been recorded: send all of them "
            "again."
        ),
        request_example=examples.EVENTS,
    )
    def post(self, request: Request) -> Response:
        events = validated_body(EventsInput, request)["events"]
        by, session = caller(request), caller_session(request)
        try:
            # Closed at once also after an error, because an open generator keeps the user's lock.
            with closing(in_slices(events, user_id=by.id)) as slices:
                answers = [_answer(event, by, session) for event in slices]
        except DATABASE_FAILED as error:
            raise EventsUnavailable from error
        return Response(serialized(EventAnswersOutput, {"results": answers}))


def _answer(event: Any, by: User, session: Session) -> EventAnswer:
    try:
        # A lone surrogate, which the response could not contain either, must not spoil the other events.
        try:
            json.dumps(event, ensure_ascii=False).encode()
        except (UnicodeError, RecursionError) as error:
            raise ParseError from error
        result = _record(event, by, session)
    except NotPlanned as error:  # there is nothing to skip, snooze, undo or correct
        return EventAnswer(
            _id_of(event), EventStatus.SUPERSEDED, reason=error.reason, ignored=_ignored(event)
        )
    except DATABASE_FAILED:  # no event is at fault, and the next one would fail too
        raise
    except Exception as error:
        problem = body_of(error)
        if problem is None:  # a defect of the server must not keep the phone from sending the other events
            log.exception("event failed")
            problem = internal_error()
        return EventAnswer(_id_of(event), EventStatus.REFUSED, problem=problem, ignored=_ignored(event))
    status = EventStatus.APPLIED if result.changed else EventStatus.REPEATED
    return EventAnswer(
        _id_of(event),
        EventStatus.SUPERSEDED if result.is_superseded else status,
        result.object,
        over_limit=result.over_limit,
        recorded_as=result.recorded_as or None,
        reason=result.reason or None,
        flags=result.flags,
        notices=[{"code": code, "detail": str(_NOTICES[Notice(code)])} for code in result.notices],
        ignored=_ignored(event),
    )


def _record(event: Any, by: User, session: Session) -> DoseResult:
    action = validated_data(EventHead, event)["action"]
    arguments: dict[str, Any] = {"by": by, "session": session, "now": database_now(), "offline": True}
    if action == INTAKE:
        fields = validated_data(EventHead, event) | validated_data(IntakeInput, event)
        # The event's own id and time are the default of the intake's.
        defaults = {"id": fields["event_id"], "taken_at": fields.pop("occurred_at", None)}
        del fields["action"]
        return intakes.log_intake(**arguments, **defaults | fields)
    serializer, record = _ACTIONS[Change(action)]
    fields = validated_data(serializer, event) | validated_data(DoseEventHead, event)
    del fields["action"]
    return record(**arguments, **fields)


def _ignored(event: Any) -> list[str]:
    """The first names of the event that its action does not have."""
    if not isinstance(event, dict) or event.get("action") not in EVENT_ACTIONS:
        return []
    known = _KNOWN[event["action"]]
    names = (name[:MOST_OF_A_NAME].encode(errors="replace").decode() for name in event if name not in known)
    return list(islice(names, MOST_IGNORED))


def _id_of(event: Any) -> UUID | None:
    try:
        id: UUID = IdField().to_internal_value(event["event_id"])
    except (ValidationError, LookupError, TypeError):
        return None
    return id
