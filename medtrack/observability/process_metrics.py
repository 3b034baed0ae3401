"""Memory, CPU, files and start of the web processes of this machine, and the connections that PostgreSQL has open."""

from collections.abc import Iterator
from functools import partial

from django.db import connection
from prometheus_client import Metric, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from medtrack.observability.shared_metrics import sharing_processes

_CONNECTIONS = """
    SELECT usename::text, count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND usename IS NOT NULL GROUP BY 1
"""
# Always there, so that a state that ended is seen to be 0.


class Processes(Collector):
    """prometheus_client's own process metrics, for each process that shares our folder, with its pid."""

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for pid in sorted(sharing_processes()):
            for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                family = families.setdefault(
                    metric.name, Metric(metric.name, metric.documentation, metric.type)
                )
                for sample in metric.samples:
                    family.add_sample(sample.name, {"pid": str(pid)}, sample.value)
        yield from families.values()


def database_connections() -> Iterator[Metric]:
    with connection.cursor() as cursor:
        cursor.execute(_CONNECTIONS)
        by_role = dict(cursor.fetchall())
        cursor.execute("SELECT current_setting('max_connections')::int")
        (most,) = cursor.fetchone()
    used = GaugeMetricFamily(
        "medtrack_database_connections",
        "Connections to this database, of all processes, by their database role.",
        labels=["role"],
    )
    for role, count in by_role.items():
        used.add_metric([role], count)
    yield used
    yield GaugeMetricFamily(
        "medtrack_database_connections_max", "The connections that PostgreSQL allows.", most
    )
