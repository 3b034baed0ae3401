"""Finding the dose that an event is about, also if it is not written yet."""

from django.db.models import Exists, OuterRef
from django.http import Http404

from dosing.actions.events import intake_id
from dosing.as_needed import as_needed_schedules
from dosing.models import DoseEvent, DoseLog
from dosing.refusals import NotPlanned
from dosing.replanning import lock_schedules
from dosing.status import NotPlannedReason
from dosing.unwritten import Named, named_by, write_planned
from users.actions import lock_user


def lock_dose(event: DoseEvent, *, with_schedule: bool = False, with_limits: bool = False) -> DoseLog:
    """Returns the event's dose, locked until the end of the transaction. Raises Http404 or NotPlanned.

    A dose that is not written yet is written. Users are locked before schedules, and these before doses:
    `with_schedule` locks that of the dose, and `with_limits` the user if the medication has limits.
    """
    visible = DoseLog.objects.visible_to(event.recorded_by)
    ids = [event.dose_id, intake_id(event.dose_id)]
    if with_schedule:
        of_dose = visible.filter(id__in=ids, schedule__isnull=False).order_by()
        lock_schedules(list(of_dose.values_list("schedule_id", flat=True)))
    if with_limits:
        schedules = as_needed_schedules(OuterRef("medication_id"))
        if visible.filter(Exists(schedules), id__in=ids).exists():
            lock_user(event.recorded_by_id)
    locked = visible.select_related("schedule").select_for_update(of=("self",))
    # The intake that stands for it is looked for, too: both at once, because nearly all ids have a row.
    found = {dose.id: dose for dose in locked.filter(id__in=ids).order_by("id")}
    if dose := found.get(ids[0]) or found.get(ids[1]):
        return dose
    named = named_by(event.recorded_by, event.dose_id)
    if named is None:
        raise Http404
    written = write_planned(named, now=event.recorded_at)
    if written is None:
        raise NotPlanned(_reason(named))
    # It may have an id from before ids followed from the schedule.
    event.dose_id = written.id
    return locked.get(id=written.id)


def _reason(named: Named) -> NotPlannedReason:
    if named.schedule.medication.deleted_at:
        return NotPlannedReason.MEDICATION_DELETED
    return NotPlannedReason.SCHEDULE_DELETED if named.schedule.deleted_at else NotPlannedReason.NOT_PLANNED
