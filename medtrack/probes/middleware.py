"""The paths for load balancers and Prometheus, which are answered before anything else looks at the request.

They are asked by address, over plain HTTP, by whatever name: no rule about hosts, redirects or bodies concerns them.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from medtrack.probes.health import livez, readyz
from medtrack.probes.metrics import metrics

LIVEZ = "/livez"
PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    LIVEZ: livez,
    "/readyz": readyz,
    "/metrics": metrics,
}


class Probes:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        probe = PROBES.get(request.path_info)
        return probe(request) if probe else self.get_response(request)
