"""ETags on what the API reads out: a phone asks whether what it has still holds, and nobody between keeps a copy."""

from hashlib import blake2b

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.deprecation import MiddlewareMixin

from medtrack.http.page_middleware import is_page


class Revalidation(MiddlewareMixin):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if is_page(request):
            return response
        response.headers.setdefault("Cache-Control", "private, no-cache")
        if request.method not in ("GET", "HEAD") or response.status_code != 200:
            return response
        assert isinstance(response, HttpResponse)  # noqa: S101 - nothing of the API is streamed
        response.headers["ETag"] = etag = f'"{blake2b(response.content, digest_size=16).hexdigest()}"'
        if "HTTP_IF_NONE_MATCH" not in request.META:
            return response
        # Of writes, which these are for, none has an ETag; the answer to them would be a page.
        for header in ("HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE"):
            request.META.pop(header, None)
        return get_conditional_response(request, etag=etag, response=response) or response
