"""The list of patients as a CSV file, row by row out of a cursor that stays on the server.

A client that reads slowly holds a thread of web for as long, so exports go one by one and give up.
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

from medtrack.console.patients.search import Found

CHUNK = 1000
# So long the whole file may take, and so long the client may take over one chunk of it.
TIME_LIMIT = timedelta(minutes=5)
STALL_LIMIT = timedelta(minutes=1)

_LOCK = 7_305_814_023
# So that Excel takes it for UTF-8.
_BOM = "\N{BYTE ORDER MARK}"
# What a spreadsheet takes for a formula, in the wide letters of East Asia too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Where a spreadsheet separates cells by something else, a cell may begin within ours.
_LATER_FORMULA = re.compile(r"([;\t\r\n])(?=\s*[=+\-@])")

# The name of each column, where its value is, and what it says.
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


class ExportGaveUp(Exception):
    """The client did not take the file in time, or somebody else began in the same moment; the file is not whole."""


def is_under_way() -> bool:
    """Whether somebody is exporting just now."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT NOT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def csv_of(found: Found) -> Iterator[bytes]:
    """Chunks of whole lines. Raises ExportGaveUp."""
    deadline = monotonic() + TIME_LIMIT.total_seconds()
    with transaction.atomic():
        _begin()
        rows = found.values_list(*(path for _name, path, _about in COLUMNS)).iterator(chunk_size=CHUNK)
        yield (_BOM + _lines([[name for name, _path, _about in COLUMNS]])).encode()
        while chunk := list(islice(rows, CHUNK)):
            yield _lines([_cell(value) for value in row] for row in chunk).encode()
            if monotonic() > deadline:
                raise ExportGaveUp


def _begin() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            raise ExportGaveUp
        limit = f"{STALL_LIMIT.total_seconds():.0f}s"
        cursor.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", [limit])


def _lines(rows: Iterable[list[str]]) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _text(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else _LATER_FORMULA.sub(r"\1'", text)


def _instant(at: datetime) -> str:
    """Of UTC, in seconds."""
    return f"{at.isoformat()[:19]}Z"


def _number(number: float) -> str:
    return f"{number:.4g}"


_CELLS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _none: "",
    str: _text,
    bool: lambda yes: "true" if yes else "false",
    float: _number,
    datetime: _instant,
}


def _cell(value: object) -> str:
    return _CELLS.get(type(value), str)(value)
