"""The WSGI entry of the web process."""

import gc
import os
import re
from io import BytesIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.signals import request_finished
from django.core.wsgi import get_wsgi_application
from rest_framework.response import Response

from medtrack.configuration.start import load_settings
from medtrack.observability import shared_metrics
from medtrack.web.activity import activity
from medtrack.web.lifeline import die_with_parent

load_settings()

# Requests whose body has no meaning; reading it would take as long as the client likes.
_BODILESS = ("GET", "HEAD")
# The largest body that nginx passes on.
_MAX_PROXIED = 3 * 1024 * 1024
_CHARSET = re.compile(r";\s*charset\s*=[^;]*", re.IGNORECASE)
shared_metrics.share(settings.VAR_DIR / "metrics")
_django = get_wsgi_application()

# Excludes all objects that exist now from garbage collection, and runs it rarely: frequent requests leave no
# reference cycles (see below), so a search in the middle of a request would find nothing.
gc.freeze()
gc.set_threshold(20_000, 20, 50)

from medtrack.probes import server as probe_server  # noqa: E402
from medtrack.probes.middleware import PROBES  # noqa: E402 - the views need the applications to be loaded

request_finished.connect(activity.end)
if "MEDTRACK_PROBES" in os.environ:  # set by medtrack.web, whose child this is
    die_with_parent()
    probe_server.serve(Path(os.environ["MEDTRACK_PROBES"]))


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Calls Django with every request as UTF-8 and with a Content-Length."""
    # Python has codecs that are no charsets, such as zlib; Django would fail on them before any middleware.
    environ["CONTENT_TYPE"] = _CHARSET.sub("", environ.get("CONTENT_TYPE", ""))
    activity.begin()
    try:
        has_body = environ["REQUEST_METHOD"] not in _BODILESS and environ["PATH_INFO"] not in PROBES
        if environ.get("HTTP_TRANSFER_ENCODING") and has_body:
            # Django takes a chunked body for empty. One byte over the limit makes Django refuse it.
            body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
            environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        response = _django(environ, start_response)
        # Django refuses a body over the limit without reading it. The server would then close the connection while
        # nginx still sends, and nginx would respond with 502. It passes on bodies of up to 3 MiB.
        if has_body and settings.DATA_UPLOAD_MAX_MEMORY_SIZE < _content_length(environ) <= _MAX_PROXIED:
            environ["wsgi.input"].read()
    except BaseException:
        activity.end()
        raise
    if isinstance(response, Response):
        # View, request and renderer context of DRF refer to each other. Without this the cycle would keep
        # every row of the response until the next garbage collection.
        context = response.renderer_context  # type: ignore[attr-defined]
        vars(context["view"]).clear()
        context["request"].parser_context.clear()
        context.clear()
    return response


def _content_length(environ: dict[str, Any]) -> int:
    length = environ.get("CONTENT_LENGTH", "")
    return int(length) if length.isascii() and length.isdecimal() else 0
