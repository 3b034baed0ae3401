"""Phones that have fallen silent: FCM takes their pushes and they acknowledge none. Set-based, by key."""

from datetime import datetime, timedelta

from django.db import connection

from medtrack.common.ids import first_id

PUSHES = 10
# Only phones that were pushed to lately are looked at: longer than between two ticks, so that losing one costs nothing.
LATELY = timedelta(hours=2)
# A push has one delivery for each of its doses.
DELIVERIES = 20 * PUSHES

# An acknowledgement in the middle of this is not seen; the next one clears the mark.
_MARK_SILENT = """
    UPDATE device_tokens t SET silent_since = heard.since
    FROM (
        SELECT DISTINCT device_id FROM push_deliveries
        WHERE id >= %(lately)s AND outcome = 'accepted' AND arrived_at IS NULL
    ) pushed
    JOIN device_tokens d ON d.id = pushed.device_id AND d.revoked_at IS NULL AND d.silent_since IS NULL
    CROSS JOIN LATERAL (
        SELECT count(*) AS pushes, min(sent_at) AS since, max(sent_at) AS latest, bool_or(has_arrived) AS has_arrived
        FROM (
            SELECT max(answered_at) AS sent_at, bool_or(arrived_at IS NOT NULL) AS has_arrived
            FROM (
                SELECT p.message_id, p.answered_at, p.arrived_at
                FROM push_deliveries p
                JOIN notification_logs n ON n.id = p.notification_id AND n.kind <> 'withdraw'
                WHERE p.device_id = d.id AND p.outcome = 'accepted'
                  AND p.answered_at >= d.owned_since
                ORDER BY p.id DESC LIMIT %(deliveries)s
            ) deliveries
            GROUP BY message_id ORDER BY sent_at DESC LIMIT %(pushes)s
        ) pushes
    ) heard
    WHERE t.id = d.id AND t.silent_since IS NULL AND t.revoked_at IS NULL
      AND heard.pushes = %(pushes)s AND NOT heard.has_arrived AND heard.latest > t.last_seen_at
"""


def mark_silent(*, now: datetime) -> int:
    """Notes since when phones are silent that did not acknowledge their last pushes; returns how many are new.

    A phone that registers again is heard: only a push after that, unacknowledged, makes it silent anew.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _MARK_SILENT, {"lately": first_id(now - LATELY), "pushes": PUSHES, "deliveries": DELIVERIES}
        )
        return int(cursor.rowcount)
