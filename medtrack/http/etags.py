"""ETags of the API's GET responses, which only the client may cache, and must revalidate before use."""

from hashlib import blake2b

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.deprecation import MiddlewareMixin

from medtrack.http.page_middleware import is_page


class ETagMiddleware(MiddlewareMixin):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if is_page(request):
            return response
        response.headers.setdefault("Cache-Control", "private, no-cache")
        if request.method not in ("GET", "HEAD") or response.status_code != 200:
            return response
        assert isinstance(response, HttpResponse)  # noqa: S101 - the API streams no response
        response.headers["ETag"] = etag = f'"{blake2b(response.content, digest_size=16).hexdigest()}"'
        if "HTTP_IF_NONE_MATCH" not in request.META:
            return response
        # Both headers are for writes, which have no ETags. Django would respond with an HTML page.
        for header in ("HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE"):
            request.META.pop(header, None)
        return get_conditional_response(request, etag=etag, response=response) or response
