"""Metrics of this machine's web processes (memory, CPU, files, start) and of PostgreSQL's connections."""

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


class Processes(Collector):
    """prometheus_client's process metrics, with a label `pid`, of all processes that share the folder."""

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
        (maximum,) = cursor.fetchone()
    connections = GaugeMetricFamily(
        "medtrack_database_connections",
        "Connections to this database, of all processes, by their database role.",
        labels=["role"],
    )
    for role, count in by_role.items():
        connections.add_metric([role], count)
    yield connections
    yield GaugeMetricFamily(
        "medtrack_database_connections_max", "The connections that PostgreSQL allows.", maximum
    )
