"""The dashboard's cards about doses, the queue of reminders, and pushes."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dosing.models import DoseLog
from medtrack.console.dashboard.elements import Card, Figure, Notice, age_text, number_text
from medtrack.console.dashboard.figures import Hour, doses_today, pushes_by_outcome
from medtrack.console.dashboard.links import Links
from medtrack.console.dashboard.reminder_chart import reminders_between
from medtrack.console.dashboard.svg import share_bar_svg
from medtrack.database.ids import first_id
from notifications.engine_state import queue_state, silent_devices, suspect_devices
from notifications.judgement import is_in_doubt, last_answers
from notifications.lateness import late_doses
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from notifications.querysets import HOUR, LATE_AFTER

# A working engine makes the reminder of a dose within a few seconds.
DOSE_IS_LATE_AFTER = timedelta(seconds=30)


def doses_card(links: Links, *, now: datetime) -> Card:
    doses = doses_today(now=now)
    chosen: dict[str, dict[str, object]] = {
        "taken": {"today": "due", "status__exact": "taken"},
        "skipped": {"today": "due", "status__exact": "skipped"},
        "missed": {"today": "due", "status__exact": "missed"},
        "pending": {"today": "open"},
        "later": {"today": "later"},
    }
    names = {
        "taken": _("taken"),
        "skipped": _("skipped"),
        "missed": _("missed"),
        "pending": _("still open"),
        "later": _("later today"),
    }
    counts = {
        "taken": doses.taken,
        "skipped": doses.skipped,
        "missed": doses.missed,
        "pending": doses.still_open,
        "later": doses.later,
    }
    parts = [
        Figure(names[kind], number_text(count), kind, links.rows(DoseLog, **chosen[kind]))
        for kind, count in counts.items()
    ]
    label = ", ".join(f"{part.name} {part.value}" for part in parts)
    return Card(
        title=_("Doses today"),
        figures=[
            Figure(_("due by now"), number_text(doses.due), "", links.rows(DoseLog, today="due")),
            *parts,
        ],
        bar=share_bar_svg(counts.items(), label=label, width=1200, height=12),
        note=_("Each patient's local day."),
        is_empty=not any(counts.values()),
    )


def queue_card(links: Links, *, now: datetime) -> Card:
    late, queue = late_doses(), queue_state()
    since = timedelta(seconds=late.oldest_seconds)
    is_late = since > DOSE_IS_LATE_AFTER
    open_doses = links.rows(DoseLog, today="open")
    waiting = timedelta(seconds=queue.oldest_seconds)
    # The admin's own order: by the first column, which is the time.
    queued = {"status__exact": "queued", "o": "0"}
    overdue = links.rows(NotificationLog, **queued, send_at__lte=now.isoformat())
    is_stuck = waiting > LATE_AFTER
    alarm = ngettext(
        "The queue is stuck: %(count)s reminder is overdue, for %(age)s.",
        "The queue is stuck: %(count)s reminders are overdue, the oldest for %(age)s.",
        queue.overdue,
    ) % {"count": number_text(queue.overdue), "age": age_text(waiting)}
    notices = [Notice("alarm", _lateness(late.doses, since), open_doses)] if is_late else []
    if is_stuck:
        notices.append(Notice("alarm", alarm, overdue))
    return Card(
        title=_("Queue"),
        figures=[
            Figure(
                _("doses late"),
                number_text(late.doses),
                "alarm" if is_late else "",
                note=age_text(since) if late.doses else "",
            ),
            Figure(_("waiting"), number_text(queue.queued), "", links.rows(NotificationLog, **queued)),
            Figure(_("overdue"), number_text(queue.overdue), "alarm" if is_stuck else "", overdue),
            Figure(
                _("oldest overdue"),
                age_text(waiting) if queue.overdue else _("none"),
                "alarm" if is_stuck else "",
                overdue if queue.overdue else "",
            ),
            Figure(
                _("failed, to be tried again"),
                number_text(queue.retrying),
                "late" if queue.retrying else "",
                links.rows(NotificationLog, **queued, retry_at__isnull="False"),
            ),
        ],
        notices=notices,
    )


def _lateness(count: int, age: timedelta) -> str:
    text = ngettext(
        "%(count)s dose has been due for %(age)s without a reminder.",
        "%(count)s doses are due without a reminder, the oldest for %(age)s.",
        count,
    )
    return text % {"count": number_text(count), "age": age_text(age)}


def pushes_card(links: Links, hours: Sequence[Hour], *, now: datetime) -> Card:
    pushes = pushes_by_outcome(now=now)
    since = {"id__gte": first_id(pushes.since)}

    def behind(**query: object) -> str:
        return links.rows(PushDelivery, **since, **query)

    # No push was made for these, so they are counted from the reminders.
    no_device = sum(hour.no_device for hour in hours)
    errors = ", ".join(f"{code} {number_text(count)}" for code, count in pushes.errors[:3])
    # These two are of now, not of the last 24 hours: a device stays silent until it answers.
    silent, suspect = silent_devices(), suspect_devices()
    silent_ones = links.rows(DeviceToken, silent_since__isempty="0", revoked_at__isnull="True")
    return Card(
        title=_("Pushes of the last 24 hours"),
        figures=[
            Figure(
                _("accepted by FCM"), number_text(pushes.accepted), "sent", behind(outcome__exact="accepted")
            ),
            Figure(
                _("seen by the phone"), number_text(pushes.arrived), "", behind(arrived_at__isnull="False")
            ),
            Figure(_("to be sent again"), number_text(pushes.retry), "late", behind(outcome__exact="retry")),
            Figure(_("dead"), number_text(pushes.dead), "dead", behind(outcome__exact="dead")),
            Figure(
                _("reminders without a device"),
                number_text(no_device),
                "late" if no_device else "",
                links.rows(
                    NotificationLog,
                    final_status="no_device",
                    **reminders_between(hours[0].start, hours[-1].start + HOUR),
                ),
            ),
            Figure(_("silent devices, now"), number_text(silent), "late" if silent else "", silent_ones),
            Figure(
                _("devices that FCM does not accept, now"),
                number_text(suspect),
                "late" if suspect else "",
                links.rows(DeviceToken, suspect_since__isempty="0", revoked_at__isnull="True"),
            ),
        ],
        note=errors,
        notices=[
            Notice(
                "alarm",
                _("FCM refuses the pushes of nearly everyone: see to the Firebase project and its key."),
            )
        ]
        if is_in_doubt(last_answers())
        else [],
    )
