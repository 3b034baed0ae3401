"""`POST /doses/events`: each event is validated, recorded and answered by itself."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
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
from dosing.offline import INTAKE, EventsBusy, EventStatus, in_slices
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
from dosing.status import Change
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
            "`repeated`: it is safe to send the same events again. An event that is `refused` has the "
            "problem that it would have had alone. The default of an `intake`'s `taken_at` is its "
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
    except DATABASE_FAILED:  # no event is at fault, and the next one would fail too
        raise
    except Exception as error:
        problem = body_of(error)
        if problem is None:  # a defect of the server must not keep the phone from sending the other events
            log.exception("event failed")
            problem = internal_error()
        return EventAnswer(_id_of(event), EventStatus.REFUSED, problem=problem)
    status = EventStatus.APPLIED if result.changed else EventStatus.REPEATED
    return EventAnswer(_id_of(event), status, result.object, over_limit=result.over_limit)


def _record(event: Any, by: User, session: Session) -> DoseResult:
    action = validated_data(EventHead, event)["action"]
    if action == INTAKE:
        fields = validated_data(EventHead, event) | validated_data(IntakeInput, event)
        # The event's own id and time are the default of the intake's.
        defaults = {"id": fields["event_id"], "taken_at": fields.pop("occurred_at", None)}
        del fields["action"]
        return intakes.log_intake(by=by, session=session, now=database_now(), **defaults | fields)
    serializer, record = _ACTIONS[Change(action)]
    fields = validated_data(serializer, event) | validated_data(DoseEventHead, event)
    del fields["action"]
    return record(by=by, session=session, now=database_now(), **fields)


def _id_of(event: Any) -> UUID | None:
    try:
        id: UUID = IdField().to_internal_value(event["event_id"])
    except (ValidationError, LookupError, TypeError):
        return None
    return id
