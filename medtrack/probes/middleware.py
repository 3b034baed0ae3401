"""Answers the probes before all other middleware.

Load balancers and Prometheus send them by address, over plain HTTP and with any host name, so no rule about
hosts, redirects or bodies may apply to them.
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
