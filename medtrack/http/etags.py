"""ETags of the API's responses, which only the client may cache, and must revalidate before use.

A write that answers with an object that has a version has the ETag that reading the object has.
"""

from hashlib import blake2b

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.deprecation import MiddlewareMixin

from medtrack.http.page_middleware import is_page
from medtrack.http.preconditions import Versioned


class ETagMiddleware(MiddlewareMixin):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if is_page(request):
            return response
        response.headers.setdefault("Cache-Control", "private, no-cache")
        is_read = request.method in ("GET", "HEAD")
        if response.status_code != 200 or not (is_read or isinstance(response, Versioned)):
            return response
        assert isinstance(response, HttpResponse)  # noqa: S101 - the API streams no response
        version = f"{response.version}." if isinstance(response, Versioned) else ""
        response.headers["ETag"] = etag = (
            f'"{version}{blake2b(response.content, digest_size=16).hexdigest()}"'
        )
        if not is_read or "HTTP_IF_NONE_MATCH" not in request.META:
            return response
        # Both headers are for writes, whose views read them. Django would respond with an HTML page.
        for header in ("HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE"):
            request.META.pop(header, None)
        return get_conditional_response(request, etag=etag, response=response) or response
