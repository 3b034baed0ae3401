"""The id of a planned dose, which is known before the dose is written.

It is a UUID of version 8: 48 bits are the milliseconds of the log date's 00:00 UTC, so that new rows are at
the end of the index; the others are from SHA-256 over the schedule's id (16 bytes), the log date (ISO 8601,
ASCII) and the ordinal (one byte). Version and variant replace bits of the hash. `medtrack_dose_id` does the
same in PostgreSQL, and clients do it too, for doses that they record offline.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from uuid import UUID

_EPOCH = date(1970, 1, 1)
_MILLISECONDS = 86_400_000
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def dose_id(schedule_id: UUID, log_date: date, ordinal: int = 0) -> UUID:
    """The id of the schedule's occurrence number `ordinal` (0 to 255) on the local date `log_date`."""
    return UUID(dose_id_text(str(schedule_id), log_date, ordinal))


def dose_id_text(schedule_id: str, log_date: date, ordinal: int = 0) -> str:
    """The same as text, for bulk inserts."""
    start, end = _parts(log_date, ordinal)
    hashed = sha256(bytes.fromhex(schedule_id.replace("-", "")) + end).hexdigest()
    return f"{start}-8{hashed[1:4]}-{_VARIANT[hashed[4]]}{hashed[5:8]}-{hashed[8:20]}"


def log_date_of(dose_id: UUID) -> date | None:
    """The log date in the id of a planned dose; None for an id of another kind."""
    milliseconds = dose_id.int >> 80
    if dose_id.version != 8 or milliseconds % _MILLISECONDS:
        return None
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)).date()
    except OverflowError:
        return None


# A batch has few different dates.
@lru_cache(maxsize=4096)
def _parts(log_date: date, ordinal: int) -> tuple[str, bytes]:
    """The first digits of the id, and the end of what is hashed."""
    milliseconds = (log_date - _EPOCH).days * _MILLISECONDS % 2**48
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}", log_date.isoformat().encode() + bytes((ordinal,))
