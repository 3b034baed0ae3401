"""What happened around one patient, newest first: doses, answers, reminders with their deliveries, changes of
medications and schedules, sign-ins.

One statement finds the keys of a page and reads no further; then the rows of each kind are read once.
The keys are instant, rank and id, so that entries are neither lost nor repeated while new ones are added.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import F, Func, JSONField, TextField, Value
from django.db.models.functions import Cast
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dosing.as_taken import DescribedMedication, described, description_at
from dosing.cycles import due_instant
from dosing.models import DoseEvent, DoseLog, Schedule
from medications.models import MedicationEvent
from medtrack.http.formats import FIRST_YEAR, LAST_YEAR
from medtrack.http.pagination import instant, local_date
from notifications.models import NotificationLog, PushDelivery
from users.models import Session

PAGE = 50


class EntryKind(StrEnum):
    DOSES = "doses"
    ANSWERS = "answers"
    REMINDERS = "reminders"
    CHANGES = "changes"
    SIGN_INS = "sign_ins"


KINDS: dict[EntryKind, Promise] = {
    EntryKind.DOSES: _("doses"),
    EntryKind.ANSWERS: _("answers"),
    EntryKind.REMINDERS: _("reminders"),
    EntryKind.CHANGES: _("changes"),
    EntryKind.SIGN_INS: _("sign-ins"),
}


class Position(NamedTuple):
    """Of an entry in the timeline."""

    at: datetime
    rank: int
    id: UUID

    def __str__(self) -> str:
        return f"{self.at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}_{self.rank}_{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Raises ValueError."""
        at, rank, id = text.split("_")
        if rank not in {"1", "2", "3", "4", "5", "6", "7"}:
            raise ValueError(text)
        return cls(instant(at), int(rank), UUID(id))


@dataclass(frozen=True)
class TimelineQuery:
    """Which entries to show: of one kind, of one local day, older than a position; None is all of them."""

    kind: EntryKind | None = None
    day: date | None = None
    before: Position | None = None
    # False if a part of the address could not be read; that part is None.
    is_valid: bool = True

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> "TimelineQuery":
        readers: dict[str, Any] = {"kind": EntryKind, "day": local_date, "before": Position.parse}
        read: dict[str, Any] = {}
        is_valid = True
        for name, reader in readers.items():
            if text := parameters.get(name, ""):
                try:
                    read[name] = reader(text)
                except ValueError:
                    is_valid = False
        return cls(**read, is_valid=is_valid)

    @property
    def filters(self) -> dict[str, object]:
        filters = {"kind": self.kind, "day": self.day, "before": self.before}
        return {name: value for name, value in filters.items() if value}


@dataclass(frozen=True)
class Entry:
    id: UUID
    at: datetime
    kind: EntryKind
    dose: DoseLog | None = None
    # As it was at `at`, or when the dose was answered. None if the dose is gone, or is none.
    medication: DescribedMedication | None = None
    event: DoseEvent | None = None
    reminder: NotificationLog | None = None
    deliveries: Sequence[PushDelivery] = ()
    # Of a medication, or of the schedule if there is one.
    medication_event: MedicationEvent | None = None
    schedule: Schedule | None = None
    session: Session | None = None
    # What happened to the session: begun, ended or ran_out.
    change: str = ""


@dataclass(frozen=True)
class Timeline:
    entries: list[Entry]
    older: Position | None


# A dose's local date is at most two days away from its instant. The inner query finds enough doses that are
# certainly older than the page's first instant to fill the page; the date of the last one limits how far back
# the page goes.
_DOSES = """
    SELECT coalesce(d.due_at, d.taken_at) AS at, 1 AS rank, d.id
    FROM dose_logs d
    WHERE d.user_id = %(user)s AND (d.schedule_id IS NOT NULL OR d.status <> 'pending')
      AND d.log_date <= %(date)s::date + 2
      AND d.log_date >= coalesce((
          SELECT log_date FROM dose_logs
          WHERE user_id = %(user)s AND (schedule_id IS NOT NULL OR status <> 'pending')
            AND log_date <= %(date)s::date - 2
          ORDER BY log_date DESC OFFSET %(limit)s LIMIT 1
      ) - 4, '-infinity')
      AND coalesce(d.due_at, d.taken_at) BETWEEN %(since)s AND least(%(until)s, %(now)s)
      AND (coalesce(d.due_at, d.taken_at), 1, d.id) < (%(at)s, %(rank)s, %(id)s)
    ORDER BY 1 DESC, 3 DESC LIMIT %(limit)s
"""
# `+ interval '0'` keeps the planner from the index on `recorded_at`, which has the events of all users and
# looks cheap because of the limit. Doses are planned at most two days ahead, so no answer is older than its
# dose by more.
_ANSWERS = """
    SELECT e.recorded_at AS at, 2 AS rank, e.id
    FROM dose_logs d JOIN dose_events e ON e.dose_id = d.id
    WHERE d.user_id = %(user)s AND d.log_date <= %(date)s::date + 5
      AND e.recorded_at + interval '0' BETWEEN %(since)s AND %(until)s
      AND (e.recorded_at + interval '0', 2, e.id) < (%(at)s, %(rank)s, %(id)s)
    ORDER BY e.recorded_at + interval '0' DESC, e.id DESC LIMIT %(limit)s
"""
_REMINDERS = """
    SELECT n.send_at AS at, 3 AS rank, n.id
    FROM notification_logs n
    WHERE n.user_id = %(user)s AND n.send_at BETWEEN %(since)s AND %(until)s
      AND (n.send_at, 3, n.id) < (%(at)s, %(rank)s, %(id)s)
    ORDER BY n.send_at DESC, n.id DESC LIMIT %(limit)s
"""
_SIGN_INS = """
    SELECT change.at, change.rank, s.id
    FROM sessions s
    CROSS JOIN LATERAL (VALUES
        (4, s.created_at), (5, s.revoked_at), (6, CASE WHEN s.revoked_at IS NULL THEN s.expires_at END)
    ) AS change (rank, at)
    WHERE s.user_id = %(user)s AND change.at BETWEEN %(since)s AND least(%(until)s, %(now)s)
      AND (change.at, change.rank, s.id) < (%(at)s, %(rank)s, %(id)s)
    ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT %(limit)s
"""
_CHANGES = """
    SELECT e.recorded_at AS at, 7 AS rank, e.id
    FROM medications m JOIN medication_events e ON e.medication_id = m.id
    WHERE m.user_id = %(user)s AND e.recorded_at BETWEEN %(since)s AND %(until)s
      AND (e.recorded_at, 7, e.id) < (%(at)s, %(rank)s, %(id)s)
    ORDER BY e.recorded_at DESC, e.id DESC LIMIT %(limit)s
"""
_BRANCHES = {
    EntryKind.DOSES: _DOSES,
    EntryKind.ANSWERS: _ANSWERS,
    EntryKind.REMINDERS: _REMINDERS,
    EntryKind.CHANGES: _CHANGES,
    EntryKind.SIGN_INS: _SIGN_INS,
}
# Without what the patient wrote, which is not even read then.
_WITHOUT_MEMO = Func(
    F("changes"),
    Cast(Value("memo"), TextField()),
    template="(%(expressions)s)",
    arg_joiner=" - ",
    output_field=JSONField(),
)
_SESSION_CHANGES = {4: "begun", 5: "ended", 6: "ran_out"}
_AGES = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)


def timeline_of(
    user_id: UUID,
    query: TimelineQuery,
    *,
    zone: ZoneInfo,
    now: datetime,
    reads_notes: bool,
    limit: int = PAGE,
) -> Timeline:
    """Returns one page. Without `reads_notes` no text that the patient wrote is read from the database."""
    positions = _positions(user_id, query, zone=zone, now=now, limit=limit + 1)
    page = positions[:limit]
    older = page[-1] if len(positions) > limit else None
    return Timeline(_entries(page, reads_notes), older)


def _positions(
    user_id: UUID, query: TimelineQuery, *, zone: ZoneInfo, now: datetime, limit: int
) -> list[Position]:
    since, until = _AGES
    if query.day is not None:
        since = due_instant(query.day, time.min, zone)
        # BETWEEN includes both ends, and the next midnight belongs to the next day.
        until = due_instant(query.day + timedelta(days=1), time.min, zone) - timedelta(microseconds=1)
    before = query.before or Position(_AGES[1], 0, UUID(int=0))
    # Not for the result, which `before` limits already: the date from which an index is read comes from it.
    until = min(until, before.at)
    # Branches that are not asked for are left out of the statement, not filtered from its result.
    chosen = [query.kind] if query.kind else list(EntryKind)
    branches = " UNION ALL ".join(f"({_BRANCHES[kind]})" for kind in chosen)
    params = {
        "user": user_id,
        "since": since,
        "until": until,
        "now": now,
        "date": min(until, now).date(),
        "limit": limit,
        **before._asdict(),
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT * FROM ({branches}) AS page ORDER BY at DESC, rank DESC, id DESC LIMIT %(limit)s",  # noqa: S608
            params,
        )
        return [Position(*row) for row in cursor.fetchall()]


def _entries(page: Sequence[Position], reads_notes: bool) -> list[Entry]:
    ids: dict[int, list[UUID]] = defaultdict(list)
    for position in page:
        ids[_row_rank(position)].append(position.id)
    doses = DoseLog.objects.described().select_related("medication", "recorded_by").filter(id__in=ids[1])
    events = (
        DoseEvent.objects.annotate(earlier=description_at("dose__medication", F("occurred_at")))
        .select_related("dose__medication", "recorded_by")
        .filter(id__in=ids[2])
    )
    reminders = (
        NotificationLog.objects.annotate(earlier=description_at("dose__medication", F("send_at")))
        .select_related("dose__medication")
        .filter(id__in=ids[3])
    )
    changes = MedicationEvent.objects.select_related("medication", "recorded_by").filter(id__in=ids[7])
    changes = changes.defer("description", "medication__memo")
    if not reads_notes:
        doses = doses.defer("note", "skip_reason", "medication__memo")
        events = events.defer("payload", "dose__note", "dose__skip_reason", "dose__medication__memo")
        reminders = reminders.defer("dose__note", "dose__skip_reason", "dose__medication__memo")
        changes = changes.defer("changes").annotate(shown_changes=_WITHOUT_MEMO)
    rows: dict[int, dict[UUID, Any]] = {
        1: _by_id(doses),
        2: _by_id(events),
        3: _by_id(reminders),
        4: _by_id(Session.objects.filter(id__in=ids[4])),
        7: _by_id(changes),
    }
    changed = [event.schedule_id for event in rows[7].values() if event.schedule_id]
    schedules = _by_id(Schedule.objects.filter(id__in=changed))
    deliveries = defaultdict(list)
    of_these = PushDelivery.objects.filter(notification_id__in=ids[3])
    # Without the token, which is a secret that no page shows.
    for delivery in of_these.select_related("device__session").defer("device__token").order_by("id"):
        deliveries[delivery.notification_id].append(delivery)
    return [
        _entry(position, row, deliveries, schedules)
        for position in page
        # The row is missing if it was deleted between the two statements.
        if (row := rows[_row_rank(position)].get(position.id))
    ]


def _row_rank(position: Position) -> int:
    # A session has three changes: its row may be in the page up to three times.
    return 4 if position.rank in _SESSION_CHANGES else position.rank


def _entry(
    position: Position,
    row: Any,
    deliveries: Mapping[UUID, list[PushDelivery]],
    schedules: Mapping[UUID, Schedule],
) -> Entry:
    match position.rank:
        case 1:
            medication = row.medication_as_taken
            return Entry(position.id, position.at, EntryKind.DOSES, dose=row, medication=medication)
        case 2:
            medication = described(row.dose.medication, row.earlier)
            return Entry(
                position.id, position.at, EntryKind.ANSWERS, dose=row.dose, medication=medication, event=row
            )
        case 3:
            return Entry(
                position.id,
                position.at,
                EntryKind.REMINDERS,
                dose=row.dose,
                medication=row.dose and described(row.dose.medication, row.earlier),
                reminder=row,
                deliveries=deliveries.get(row.id, ()),
            )
        case 7:
            schedule = schedules.get(row.schedule_id)
            return Entry(position.id, position.at, EntryKind.CHANGES, medication_event=row, schedule=schedule)
    return Entry(
        position.id, position.at, EntryKind.SIGN_INS, session=row, change=_SESSION_CHANGES[position.rank]
    )


def _by_id(rows: Iterable[Any]) -> dict[UUID, Any]:
    return {row.id: row for row in rows}
