"""Content negotiation with a fast path for the usual Accept headers."""

from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class ContentNegotiation(DefaultContentNegotiation):
    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        # Nearly all requests have one of these headers, which need no parsing.
        if request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", "application/json"):
            return renderers[0], "application/json"
        selected: tuple[Any, str] = super().select_renderer(request, renderers, format_suffix)
        return selected
