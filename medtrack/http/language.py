"""The language of a response: by Accept-Language, and for pages also by Django's language cookie."""

from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header

from medtrack.http.page_middleware import is_page


class LanguageMiddleware(LocaleMiddleware):
    def process_request(self, request: HttpRequest) -> None:
        if is_page(request):
            return super().process_request(request)
        translation.activate(_preferred(request.META.get("HTTP_ACCEPT_LANGUAGE", "")))
        return None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if is_page(request):
            return super().process_response(request, response)
        patch_vary_headers(response, ("Accept-Language",))
        response.headers["Content-Language"] = translation.get_language() or settings.LANGUAGE_CODE
        return response


@lru_cache(maxsize=1024)
def _preferred(accepted: str) -> str:
    """Returns the first of the accepted languages that is supported, in order of weight."""
    for code, _weight in parse_accept_lang_header(accepted):
        try:
            return translation.get_supported_language_variant(code)
        except LookupError:
            continue
    return settings.LANGUAGE_CODE
