"""Counters that only grow, for Prometheus.

They are rows, because any process counts, any process may serve `/metrics`, and all of them may be restarted.
Count in the last statement of a transaction, so that the rows are locked only until its commit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import connection

# Upper bounds of the histogram of lateness, in seconds; `mark.sql` has them as a parameter.
BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)

# Always in the order of the names, so that two transactions cannot deadlock.
_ADD = """
    INSERT INTO engine_counters (name, value)
    SELECT * FROM unnest(%(names)s::text[], %(values)s::float8[]) AS c (name, value) ORDER BY name
    ON CONFLICT (name) DO UPDATE SET value = engine_counters.value + excluded.value
"""


@dataclass(frozen=True)
class Counters:
    """`moot` by reason, `deliveries` by outcome and error code, `lateness` by bucket of BOUNDS and above."""

    moot: dict[str, float] = field(default_factory=dict)
    deliveries: dict[tuple[str, str], float] = field(default_factory=dict)
    lateness: list[float] = field(default_factory=lambda: [0.0] * (len(BOUNDS) + 1))
    lateness_sum: float = 0.0


def count_moot(reasons: Mapping[str, int]) -> None:
    """Reminders that were closed without being sent, by reason."""
    _add({f"moot/{reason}": count for reason, count in reasons.items()})


def count_answers(
    deliveries: Mapping[tuple[str, str], int], lateness: Mapping[int, int], lateness_sum: float
) -> None:
    """Counts FCM's answers by outcome and error code, and reminders just accepted by bucket of BOUNDS.

    `lateness_sum` is the sum of the seconds from due to accepted.
    """
    counts: dict[str, float] = {f"delivery/{outcome}/{code}": n for (outcome, code), n in deliveries.items()}
    counts |= {f"lateness/{bucket}": n for bucket, n in lateness.items()}
    if lateness:
        counts["lateness/sum"] = lateness_sum
    _add(counts)


def read_counters() -> Counters:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, value FROM engine_counters")
        values: dict[str, float] = dict(cursor.fetchall())
    counters = Counters(lateness_sum=values.pop("lateness/sum", 0.0))
    for name, value in values.items():
        kind, _, label = name.partition("/")
        if kind == "moot":
            counters.moot[label] = value
        elif kind == "delivery":
            outcome, _, code = label.partition("/")
            counters.deliveries[outcome, code] = value
        else:
            counters.lateness[int(label)] = value
    return counters


def _add(counts: Mapping[str, float]) -> None:
    if counts:
        with connection.cursor() as cursor:
            cursor.execute(_ADD, {"names": list(counts), "values": [float(n) for n in counts.values()]})
