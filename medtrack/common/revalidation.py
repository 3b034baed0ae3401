"""ETags on what the API reads out: a phone asks whether what it has still holds, and nobody between keeps a copy."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.http import ConditionalGetMiddleware


class Revalidation(ConditionalGetMiddleware):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not request.path_info.startswith("/api/v1/"):
            return response
        response.headers.setdefault("Cache-Control", "private, no-cache")
        return super().process_response(request, response) if response.status_code == 200 else response
