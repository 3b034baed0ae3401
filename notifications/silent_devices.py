"""Devices that have fallen silent: FCM accepts their pushes, and nothing shows that the app still runs.

Only the app on the device can give a sign of life: registering, refreshing the tokens of its session,
answering a dose by its session, and acknowledging a push.
"""

from datetime import datetime, timedelta
from pathlib import Path

from medtrack.database.ids import first_id
from medtrack.database.statements import Statement

# A device is silent after so many pushes without an acknowledgement.
PUSHES = 10
# Only devices with a push in this time are read. It is longer than the time between two runs, so that one may
# be lost.
LATELY = timedelta(hours=2)
# A push has one delivery for each of its doses.
DELIVERIES = 20 * PUSHES
# A dose may be answered so many days after its date.
DAYS_BACK = 8

_SQL = Path(__file__).parent / "sql"
_MARK = Statement.of(_SQL / "mark_silent_devices.sql")
_CLEAR = Statement.of(_SQL / "clear_silent_devices.sql")


def mark_silent(*, now: datetime) -> int:
    """Sets `silent_since` of devices that have fallen silent to the time of the first unanswered push.

    Returns how many are new.
    """
    return _MARK.execute(
        lately=first_id(now - LATELY), pushes=PUSHES, deliveries=DELIVERIES, days_back=DAYS_BACK
    )


def clear_silent(*, now: datetime) -> int:
    """Clears `silent_since` of devices that gave a sign of life since; returns how many.

    Registering and acknowledging clear it themselves. They are rare, and answering a dose must not pay for
    it.
    """
    return _CLEAR.execute(lately=now - LATELY)
