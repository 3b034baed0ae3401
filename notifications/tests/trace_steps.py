"""The steps of a reminder in the tests of its trace."""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from dosing.actions.doses import snooze_dose, take_dose
from dosing.models import DoseLog
from medtrack.database.clock import database_now
from medtrack.tests.support.builders import claim_all
from notifications import queue
from notifications.judgement import Judge
from notifications.queue import PushResult
from notifications.trace import Trace, trace
from notifications.trace_history import history_of
from notifications.transports.results import FcmResult, FcmResultKind

ACCEPTED = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/p/messages/1")


BUSY = FcmResult(FcmResultKind.RETRY, "UNAVAILABLE")


NOW = timedelta(0)


def claim() -> queue.Claim:
    return claim_all()


def send(outcome: FcmResult, *, retry_after: timedelta | None = None) -> None:
    """Claims all due pushes and records this result of FCM for all their devices."""
    results = [PushResult(push, dict.fromkeys(push.devices, outcome), retry_after) for push in claim().pushes]
    assert results
    queue.mark(results)
    Judge("a-project").settle(results)


def trace_of(dose_id: UUID) -> Trace:
    return trace(history_of(dose_id, now=database_now()))


def take(dose: DoseLog) -> None:
    take_dose(dose_id=dose.id, by=dose.user, now=timezone.now())


def snooze(dose: DoseLog, minutes: int = 10) -> None:
    snooze_dose(dose_id=dose.id, by=dose.user, now=timezone.now(), minutes=minutes)
