"""Why a change of a dose is refused: the state that it is in, and the way out."""

from typing import Any

from django.http import Http404
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ErrorDetail

from dosing.models import DoseLog
from dosing.status import DoseStatus, NotPlannedReason
from medtrack.http.problems import Conflict

_WAYS_OUT = {
    DoseStatus.PENDING: _("This dose has not been answered yet. Take or skip it first."),
    DoseStatus.TAKEN: _("This dose was taken. Undo that first."),
    DoseStatus.SKIPPED: _("This dose was skipped. Undo that first."),
    DoseStatus.MISSED: _("This dose was missed. It can still be taken or skipped."),
}
_UNDONE_INTAKE = _("This intake was undone. It can only be taken again.")
_WITHDRAWN = _("The plan no longer has this dose. It can still be taken or skipped.")


class InvalidTransition(Conflict):
    """The dose's status does not allow this, such as snoozing a dose that was taken.

    `dose_status` is that status, and `detail` says what can be done.
    """

    default_detail = _("This dose cannot be changed in this way now.")
    default_code = "invalid_transition"

    def __init__(self, dose: DoseLog) -> None:
        super().__init__(dose_status=dose.status)
        sentence = _WAYS_OUT[DoseStatus(dose.status)]
        if dose.status == DoseStatus.PENDING and dose.schedule_id is None:
            sentence = _UNDONE_INTAKE
        elif dose.status == DoseStatus.PENDING and dose.answer_by is None:
            sentence = _WITHDRAWN
        self.detail = ErrorDetail(str(sentence), self.default_code)


class AlreadyRecorded(Conflict):
    """Something else was recorded about the dose: `recorded` says what, by whom and when.

    `amendDose` corrects it. `override` lets a dose be taken that another person skipped.
    """

    default_detail = _("Something else is recorded about this dose already. Correct that instead.")
    default_code = "already_recorded"

    def __init__(self, dose: DoseLog) -> None:
        recorded: dict[str, Any] = {
            "status": dose.status,
            "occurred_at": dose.taken_at or dose.skipped_at,
            "quantity": f"{dose.actual_quantity.normalize():f}" if dose.taken_at else None,
            "reason": dose.skip_reason,
            "note": dose.note,
            "recorded_by": dose.recorded_by_id and str(dose.recorded_by_id),
        }
        super().__init__(recorded=recorded)


class NotPlanned(Http404):
    """The id is that of a dose which the plan does not have; `reason` says why."""

    def __init__(self, reason: NotPlannedReason) -> None:
        super().__init__()
        self.reason = reason
