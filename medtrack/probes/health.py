"""Liveness (the process answers) and readiness (the database answers and is migrated).

Neither depends on the engine, which runs in other processes: see `medtrack.probes.metrics` and the dashboard.
"""

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse


def livez(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    try:
        # Reads the table of applied migrations, so it also tests the connection.
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except OperationalError:
        return JsonResponse({"database": "unreachable"}, status=503)
    if pending:
        return JsonResponse({"database": "ok", "migrations": f"{len(pending)} pending"}, status=503)
    return JsonResponse({"database": "ok", "migrations": "ok"})
