"""Phones that have fallen silent: FCM takes their pushes, and nothing shows that the app still runs.

Signs of life are what only the app on that phone can do: registering, refreshing its session's tokens, answering a
dose through its session, and saying of a push that it arrived, was shown or was opened. Set-based, by key.
"""

from datetime import datetime, timedelta

from django.db import connection

from medtrack.database.ids import first_id

PUSHES = 10
# Only phones that were pushed to lately are looked at: longer than between two ticks, so that losing one costs nothing.
LATELY = timedelta(hours=2)
# A push has one delivery for each of its doses.
DELIVERIES = 20 * PUSHES

# An acknowledgement in the middle of this is not seen; the next one clears the mark.
_MARK_SILENT = """
    UPDATE device_tokens t SET silent_since = unheard.since
    FROM (
        SELECT DISTINCT device_id FROM push_deliveries
        WHERE id >= %(lately)s AND outcome = 'accepted' AND arrived_at IS NULL
    ) pushed
    JOIN device_tokens d ON d.id = pushed.device_id AND d.revoked_at IS NULL AND d.silent_since IS NULL
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE number <= %(pushes)s) AS pushes,
               min(sent_at) FILTER (WHERE number <= %(pushes)s) AS since,
               bool_or(acknowledged_at IS NOT NULL) FILTER (WHERE number <= %(pushes)s) AS is_acknowledged,
               max(acknowledged_at) AS acknowledged_at
        FROM (
            SELECT max(answered_at) AS sent_at, max(acknowledged_at) AS acknowledged_at,
                   row_number() OVER (ORDER BY max(answered_at) DESC) AS number
            FROM (
                SELECT p.message_id, p.answered_at, greatest(p.arrived_at, p.shown_at, p.opened_at) AS acknowledged_at
                FROM push_deliveries p
                JOIN notification_logs n ON n.id = p.notification_id AND n.kind <> 'withdraw'
                WHERE p.device_id = d.id AND p.outcome = 'accepted'
                  AND p.answered_at >= d.owned_since
                ORDER BY p.id DESC LIMIT %(deliveries)s
            ) deliveries
            GROUP BY message_id
        ) pushes
    ) unheard
    LEFT JOIN sessions s ON s.id = d.session_id
    WHERE t.id = d.id AND t.silent_since IS NULL AND t.revoked_at IS NULL
      AND unheard.pushes = %(pushes)s AND NOT unheard.is_acknowledged
      AND greatest(d.last_seen_at, s.last_used_at, unheard.acknowledged_at) < unheard.since
      AND NOT EXISTS (
          SELECT FROM dose_logs l
          JOIN dose_events e ON e.dose_id = l.id
          WHERE l.user_id = d.user_id AND l.log_date >= unheard.since::date - %(days_back)s
            AND e.session_id = d.session_id AND e.recorded_at >= unheard.since
      )
"""
# A dose may be answered days after its date.
DAYS_BACK = 8

# Registering and acknowledging clear the mark themselves, being rare; answering a dose must not pay for it.
_CLEAR_HEARD = """
    WITH answered AS MATERIALIZED (
        SELECT session_id, max(recorded_at) AS at FROM dose_events
        WHERE recorded_at >= %(lately)s AND session_id IS NOT NULL GROUP BY session_id
    )
    UPDATE device_tokens t SET silent_since = NULL
    FROM device_tokens d
    LEFT JOIN sessions s ON s.id = d.session_id
    LEFT JOIN answered a ON a.session_id = d.session_id
    WHERE t.id = d.id AND t.silent_since IS NOT NULL AND t.revoked_at IS NULL
      AND d.silent_since IS NOT NULL AND d.revoked_at IS NULL
      AND greatest(s.last_used_at, a.at) >= d.silent_since
"""


def mark_silent(*, now: datetime) -> int:
    """Notes since when phones are silent that gave no sign of life since the first of their last pushes; returns how
    many are new."""
    with connection.cursor() as cursor:
        cursor.execute(
            _MARK_SILENT,
            {
                "lately": first_id(now - LATELY),
                "pushes": PUSHES,
                "deliveries": DELIVERIES,
                "days_back": DAYS_BACK,
            },
        )
        return int(cursor.rowcount)


def clear_heard(*, now: datetime) -> int:
    """Takes the mark from phones that gave a sign of life since they fell silent; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_CLEAR_HEARD, {"lately": now - LATELY})
        return int(cursor.rowcount)
