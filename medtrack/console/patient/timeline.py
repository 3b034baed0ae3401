"""What happened around one person, newest first: doses, answers, reminders with their deliveries, sign-ins.

A page is found by one statement, which reads keys alone and ends where the page does; then each kind is read once.
Keys are instant, rank and id, so that nothing is lost or shown twice while more happens.
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
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dosing.cycles import due_instant
from dosing.models import DoseEvent, DoseLog
from medtrack.http.formats import FIRST_YEAR, LAST_YEAR
from medtrack.http.pagination import instant, local_date
from notifications.models import NotificationLog, PushDelivery
from users.models import Session

PAGE = 50


class Kind(StrEnum):
    DOSES = "doses"
    ANSWERS = "answers"
    REMINDERS = "reminders"
    SIGN_INS = "sign_ins"


KINDS: dict[Kind, Promise] = {
    Kind.DOSES: _("doses"),
    Kind.ANSWERS: _("answers"),
    Kind.REMINDERS: _("reminders"),
    Kind.SIGN_INS: _("sign-ins"),
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
        if rank not in {"1", "2", "3", "4", "5", "6"}:
            raise ValueError(text)
        return cls(instant(at), int(rank), UUID(id))


@dataclass(frozen=True)
class Choice:
    """What to show: of one kind, of one local day, older than a position; None is everything."""

    kind: Kind | None = None
    day: date | None = None
    before: Position | None = None
    is_understood: bool = True

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Choice":
        """What cannot be read is left out, and said to be."""
        readers: dict[str, Any] = {"kind": Kind, "day": local_date, "before": Position.parse}
        read: dict[str, Any] = {}
        is_understood = True
        for name, reader in readers.items():
            if text := query.get(name, ""):
                try:
                    read[name] = reader(text)
                except ValueError:
                    is_understood = False
        return cls(**read, is_understood=is_understood)


@dataclass(frozen=True)
class Entry:
    id: UUID
    at: datetime
    kind: Kind
    dose: DoseLog | None = None
    event: DoseEvent | None = None
    reminder: NotificationLog | None = None
    deliveries: Sequence[PushDelivery] = ()
    session: Session | None = None
    # Of a session: begun, ended or ran_out.
    turn: str = ""


@dataclass(frozen=True)
class Timeline:
    entries: list[Entry]
    older: Position | None


# A dose's local date is at most two days away from its instant. So of the doses that are surely before the page's
# first instant, enough to fill the page, the last one's date tells how far back the page can reach at most.
_DOSES = """
    SELECT coalesce(d.due_at, d.taken_at) AS at, 1 AS rank, d.id
    FROM dose_logs d
    WHERE d.user_id = %(user)s AND (d.schedule_id IS NOT NULL OR d.status <> 'pending')
      AND d.log_date <= %(date)s::date + 2
      AND d.log_date >= coalesce((
          SELECT log_date FROM dose_logs
          WHERE user_id = %(user)s AND (schedule_id IS NOT NULL OR status <> 'pending') AND log_date <= %(date)s::date - 2
          ORDER BY log_date DESC OFFSET %(limit)s LIMIT 1
      ) - 4, '-infinity')
      AND coalesce(d.due_at, d.taken_at) BETWEEN %(since)s AND least(%(until)s, %(now)s)
      AND (coalesce(d.due_at, d.taken_at), 1, d.id) < (%(at)s, %(rank)s, %(id)s)
    ORDER BY 1 DESC, 3 DESC LIMIT %(limit)s
"""
# Not along the instants of everybody's events, as the limit might suggest: that is what the addition prevents. A
# dose is planned at most two days ahead, so nothing was said earlier of a later one.
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
    SELECT turn.at, turn.rank, s.id
    FROM sessions s
    CROSS JOIN LATERAL (VALUES
        (4, s.created_at), (5, s.revoked_at), (6, CASE WHEN s.revoked_at IS NULL THEN s.expires_at END)
    ) AS turn (rank, at)
    WHERE s.user_id = %(user)s AND turn.at BETWEEN %(since)s AND least(%(until)s, %(now)s)
      AND (turn.at, turn.rank, s.id) < (%(at)s, %(rank)s, %(id)s)
    ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT %(limit)s
"""
_BRANCHES = {
    Kind.DOSES: _DOSES,
    Kind.ANSWERS: _ANSWERS,
    Kind.REMINDERS: _REMINDERS,
    Kind.SIGN_INS: _SIGN_INS,
}
_TURNS = {4: "begun", 5: "ended", 6: "ran_out"}
_AGES = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)


def timeline_of(
    user_id: UUID, choice: Choice, *, zone: ZoneInfo, now: datetime, reads_notes: bool, limit: int = PAGE
) -> Timeline:
    """A page; without `reads_notes` nothing that somebody wrote is even read."""
    positions = _positions(user_id, choice, zone=zone, now=now, limit=limit + 1)
    page = positions[:limit]
    older = page[-1] if len(positions) > limit else None
    return Timeline(_entries(page, reads_notes), older)


def _positions(user_id: UUID, choice: Choice, *, zone: ZoneInfo, now: datetime, limit: int) -> list[Position]:
    since, until = _AGES if choice.day is None else _day(choice.day, zone)
    before = choice.before or Position(_AGES[1], 0, UUID(int=0))
    until = min(until, before.at)
    chosen = [choice.kind] if choice.kind else list(Kind)
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
            f"SELECT * FROM ({branches}) AS found ORDER BY at DESC, rank DESC, id DESC LIMIT %(limit)s",  # noqa: S608
            params,
        )
        return [Position(*row) for row in cursor.fetchall()]


def _day(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Its first and its last instant."""
    ends = due_instant(day + timedelta(days=1), time.min, zone)
    return due_instant(day, time.min, zone), ends - timedelta(microseconds=1)


def _entries(page: Sequence[Position], reads_notes: bool) -> list[Entry]:
    ids: dict[int, list[UUID]] = defaultdict(list)
    for position in page:
        ids[min(position.rank, 4)].append(position.id)
    medicine = ("dose__medication",)
    doses = DoseLog.objects.select_related("medication", "recorded_by").filter(id__in=ids[1])
    events = DoseEvent.objects.select_related(*medicine, "recorded_by").filter(id__in=ids[2])
    reminders = NotificationLog.objects.select_related(*medicine).filter(id__in=ids[3])
    if not reads_notes:
        doses = doses.defer("note", "skip_reason", "medication__memo")
        events = events.defer("payload", "dose__note", "dose__skip_reason", "dose__medication__memo")
        reminders = reminders.defer("dose__note", "dose__skip_reason", "dose__medication__memo")
    found: dict[int, dict[UUID, Any]] = {
        1: _by_id(doses),
        2: _by_id(events),
        3: _by_id(reminders),
        4: _by_id(Session.objects.filter(id__in=ids[4])),
    }
    deliveries = _deliveries(ids[3])
    return [
        _entry(position, row, deliveries)
        for position in page
        # Whatever was deleted between the two statements is not there any more.
        if (row := found[min(position.rank, 4)].get(position.id))
    ]


def _entry(position: Position, row: Any, deliveries: Mapping[UUID, list[PushDelivery]]) -> Entry:
    match position.rank:
        case 1:
            return Entry(position.id, position.at, Kind.DOSES, dose=row)
        case 2:
            return Entry(position.id, position.at, Kind.ANSWERS, dose=row.dose, event=row)
        case 3:
            return Entry(
                position.id,
                position.at,
                Kind.REMINDERS,
                dose=row.dose,
                reminder=row,
                deliveries=deliveries.get(row.id, ()),
            )
    return Entry(position.id, position.at, Kind.SIGN_INS, session=row, turn=_TURNS[position.rank])


def _deliveries(reminder_ids: Sequence[UUID]) -> dict[UUID, list[PushDelivery]]:
    found = defaultdict(list)
    of_these = PushDelivery.objects.filter(notification_id__in=reminder_ids)
    for delivery in of_these.select_related("device__session").defer("device__token").order_by("id"):
        found[delivery.notification_id].append(delivery)
    return dict(found)


def _by_id(rows: Iterable[Any]) -> dict[UUID, Any]:
    return {row.id: row for row in rows}
