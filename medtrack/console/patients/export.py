"""The list of patients as a CSV file, streamed from a server-side cursor.

A slow client occupies a thread of the web process, so only one export runs at a time, and it has a time
limit.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from io import StringIO
from itertools import islice
from time import monotonic
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from medtrack.console.patients.search import ListedPatients

CHUNK = 1000
# Limits of the whole file, and of the time in which the client takes one chunk.
TIME_LIMIT = timedelta(minutes=5)
STALL_LIMIT = timedelta(minutes=1)

_LOCK = 7_305_814_023
# Excel needs it to recognise UTF-8.
_BOM = "\N{BYTE ORDER MARK}"
# Spreadsheets take text that begins so for a formula; also in full-width letters.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# With another separator than the comma, a cell may begin in the middle of a text.
_LATER_FORMULA = re.compile(r"([;\t\r\n])(?=\s*[=+\-@])")

# Name, lookup and description of each column.
COLUMNS: tuple[tuple[str, str, Any], ...] = (
    ("id", "id", _("the patient's id, for the API and this console")),
    ("name", "name", _("as the patient wrote it")),
    ("email", "email", _("empty for a person without a login")),
    ("zone", "timezone", _("where the patient's days begin and end")),
    ("language", "language", _("of pushes and mails")),
    ("is_active", "is_active", _("whether the patient can sign in")),
    ("adherence_7", "summary__adherence_7", _("taken of due doses in the last 7 whole days, 0 to 1")),
    ("adherence_30", "summary__adherence_30", _("the same of 30 days; empty when nothing was due")),
    ("adherence_before", "summary__adherence_before", _("the same of the 30 days before those")),
    ("trend", "trend", _("percentage points between the two")),
    ("last_answer_at", "summary__last_answer_at", _("last time a dose was answered, UTC")),
    ("devices", "summary__device_count", _("devices that pushes go to")),
    ("silent_devices", "summary__silent_device_count", _("of them those that acknowledge no push")),
    ("failed_pushes", "summary__failed_push_count", _("pushes of the last 7 days that reached no device")),
    ("signed_up_at", "created_at", "UTC"),
)


class ExportAborted(Exception):
    """The client was too slow, or another export began at the same moment. The file is incomplete."""


def is_running() -> bool:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT NOT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def csv_of(patients: ListedPatients) -> Iterator[bytes]:
    """Chunks of whole lines. Raises ExportAborted."""
    deadline = monotonic() + TIME_LIMIT.total_seconds()
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Asked again, because another export may have begun since the page asked `is_running`.
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            if not cursor.fetchone()[0]:
                raise ExportAborted
            # The generator waits in the transaction while the client reads; PostgreSQL ends one that stalls.
            limit = f"{STALL_LIMIT.total_seconds():.0f}s"
            cursor.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", [limit])
        rows = patients.values_list(*(path for _name, path, _about in COLUMNS)).iterator(chunk_size=CHUNK)
        yield (_BOM + _lines([[name for name, _path, _about in COLUMNS]])).encode()
        while chunk := list(islice(rows, CHUNK)):
            yield _lines([_CELLS.get(type(value), str)(value) for value in row] for row in chunk).encode()
            # A client that takes a little of each chunk in time would otherwise keep the export for hours.
            if monotonic() > deadline:
                raise ExportAborted


def _lines(rows: Iterable[list[str]]) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


_CELLS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _none: "",
    # A formula would run in the reader's spreadsheet, and the name is the patient's own text.
    str: lambda text: f"'{text}" if text.startswith(_FORMULA) else _LATER_FORMULA.sub(r"\1'", text),
    bool: lambda yes: "true" if yes else "false",
    float: lambda number: f"{number:.4g}",
    # UTC, without fractions of a second.
    datetime: lambda at: f"{at.isoformat()[:19]}Z",
}
