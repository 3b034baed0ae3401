"""The WSGI entry of the web process."""

import gc
import os
import re
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medtrack.settings")

_CHARSET = re.compile(r";\s*charset\s*=[^;]*", re.IGNORECASE)
_django = get_wsgi_application()

# What the application is made of stays for good, and a request makes more objects than 700: without this the search
# for cycles is a tenth of its work.
gc.freeze()
gc.set_threshold(20_000, 20, 50)


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Django, for which every request is UTF-8 and says its length.

    Python knows charsets that are none, such as zlib, and Django fails on them before any middleware runs.
    """
    environ["CONTENT_TYPE"] = _CHARSET.sub("", environ.get("CONTENT_TYPE", ""))
    if environ.get("HTTP_TRANSFER_ENCODING"):
        _measure(environ)
    return _django(environ, start_response)


def _measure(environ: dict[str, Any]) -> None:
    """A body in chunks, which for Django is none: read up to the first byte too many."""
    body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
