"""Which form an answer has: JSON, unless the client leaves no room for it."""

from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class ContentNegotiation(DefaultContentNegotiation):
    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """What nearly every client says is understood without taking it apart."""
        if request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", "application/json"):
            return renderers[0], "application/json"
        selected: tuple[Any, str] = super().select_renderer(request, renderers, format_suffix)
        return selected
