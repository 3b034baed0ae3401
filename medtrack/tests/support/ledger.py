"""What FCM says it took against what we say we gave: invariants I4 to I8, which no database can see alone."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

# A request that began just before the expiry may arrive just after it.
ON_THE_WIRE = timedelta(seconds=2)

_ACCEPTED = "SELECT message_id, notification_id, device_id FROM push_deliveries WHERE outcome = 'accepted'"
_REMINDERS = "SELECT id, tag, kind, step, send_at, expires_at FROM notification_logs"
_TOKENS = "SELECT id, token FROM device_tokens"

Rows = Callable[[str], list[dict[str, Any]]]


@dataclass(frozen=True)
class Comparison:
    """FCM's message names, each in one list for each thing that is wrong with it.

    `lost` we call accepted and FCM does not know (I4); `unknown` FCM has and we do not call their push accepted
    (I5, once quiet); `repeats` are the messages beyond the first of one push to one phone (I6); `changed_tags` are
    not under their push's tag and so would stack on the phone (I7); `late` came after their push expired (I8).
    """

    lost: list[str]
    unknown: list[str]
    repeats: int
    changed_tags: list[str]
    late: list[str]


def compare(ledger: Sequence[dict[str, Any]], rows: Rows) -> Comparison:
    """`ledger` is `FcmStandin.ledger()`; `rows` runs a query, as `RunningProduct.rows` and `django_rows` do."""
    taken = [line for line in ledger if line["status"] == 200 and not line.get("validate_only")]
    reminders = {str(row["id"]): row for row in rows(_REMINDERS)}
    tokens = {row["id"]: row["token"] for row in rows(_TOKENS)}
    accepted = rows(_ACCEPTED)
    given = {
        (_push(reminders[str(row["notification_id"])]), tokens.get(row["device_id"]))
        for row in accepted
        if str(row["notification_id"]) in reminders
    }
    unknown, changed_tags, late = [], [], []
    times: defaultdict[tuple[Any, str], int] = defaultdict(int)
    for line in taken:
        message = line["message"]
        reminder = reminders.get(message["data"]["notification_id"])
        if reminder is None or (_push(reminder), message["token"]) not in given:
            unknown.append(line["name"])
        if reminder is None:
            continue
        times[_push(reminder), message["token"]] += 1
        if _tag(message) != str(reminder["tag"]):
            changed_tags.append(line["name"])
        if datetime.fromisoformat(line["at"]) > reminder["expires_at"] + ON_THE_WIRE:
            late.append(line["name"])
    return Comparison(
        lost=sorted({row["message_id"] for row in accepted} - {line["name"] for line in taken}),
        unknown=unknown,
        repeats=sum(times.values()) - len(times),
        changed_tags=changed_tags,
        late=late,
    )


def django_rows(sql: str) -> list[dict[str, Any]]:
    """For tests in this process, inside their transaction."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _push(reminder: dict[str, Any]) -> tuple[Any, ...]:
    """What its reminders have in common: when the first of them is answered, a repeat is sent as another's."""
    return reminder["tag"], reminder["kind"], reminder["step"], reminder["send_at"]


def _tag(message: dict[str, Any]) -> str:
    """Of a visible push, or of the one that a withdrawal takes back."""
    shown = message.get("android", {}).get("notification", {}).get("tag")
    return str(shown or message["data"].get("tag", ""))
