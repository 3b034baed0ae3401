"""The inbox: each push that FCM accepted, once for all its doses and devices."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifications.messages import wording
from notifications.models import NotificationLog
from users.models import User

KINDS = [choice for choice in NotificationLog.Kind.choices if choice[0] != NotificationLog.Kind.WITHDRAW]

_Push = tuple[UUID, str, int]


@dataclass(frozen=True)
class InboxEntry:
    """One push as the user may read it again."""

    id: UUID
    kind: str
    title: str
    body: str
    dose_ids: list[UUID]
    sent_at: datetime | None
    read_at: datetime | None


def entries(pushes: Sequence[NotificationLog], *, user: User, language: str) -> list[InboxEntry]:
    """The entries of these pushes of the user, each given by one of its rows."""
    of_tags = NotificationLog.objects.shown_to(user).filter(tag__in={push.tag for push in pushes})
    rows: dict[_Push, list[NotificationLog]] = defaultdict(list)
    for row in of_tags.select_related("dose__medication").order_by("expires_at", "id"):
        rows[_push(row)].append(row)
    result = []
    for push in pushes:
        dose_ids = [row.dose_id for row in rows[_push(push)] if row.dose_id]
        doses = [row.dose for row in rows[_push(push)] if row.dose]
        names = [] if user.private_push_text else [dose.medication.name for dose in doses]
        title, body = wording(push.kind, language, len(dose_ids), names)
        result.append(InboxEntry(push.id, push.kind, title, body, dose_ids, push.sent_at, push.read_at))
    return result


def _push(row: NotificationLog) -> _Push:
    return row.tag, row.kind, row.step
