"""Writes that know what they overwrite: the versions of an object that a request allows, and 412 otherwise.

An ETag of an object with a `version` begins with it. Only this part is compared with `If-Match`: what differs
in the same version, such as when the next dose is due, was not written by a user.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from medtrack.http.problems import Conflict, field_error
from medtrack.http.responses import serialized

IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description=(
        'The ETag of the object as the client knows it, or several, or `*`. `"3"` stands for every ETag of '
        "version 3. If the object has changed since, the request changes nothing and is answered with 412 "
        "`Changed`. Without the header the request overwrites what is there."
    ),
)
# RFC 9110, 8.8.3: an opaque tag in quotes, and `W/` before it if it is weak.
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_VERSION = re.compile(r'(W/)?"([0-9]{1,9})(?:\.[0-9a-f]*)?"')


class Changed(Conflict):
    """The object has changed since the version that the request names: `current` is the object as it is now."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = _("This has been changed meanwhile. Read it again and repeat your change.")
    default_code = "changed"


class VersionField(serializers.IntegerField):
    """The `version` of the object that a request changes, in its body."""

    def __init__(self, **kwargs: Any) -> None:
        help_text = "The version that the client knows: 412 `Changed` if the object has another one."
        super().__init__(min_value=1, max_value=2**31 - 1, required=False, help_text=help_text, **kwargs)


class Versioned(Response):
    """The response with an object that has a `version`, which its ETag begins with."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        self.version: int = data["version"]


def allowed_versions(request: Request, *, version: int | None = None) -> frozenset[int] | None:
    """The versions of the object for which the request is meant: those of `If-Match`, and `version` of its body.

    None if it is meant for any. Raises ValidationError.
    """
    header = request.headers.get("If-Match")
    allowed = None if header is None else _matched(header.strip())
    if version is None:
        return allowed
    return frozenset({version}) if allowed is None else allowed & {version}


def check_version(
    row: Any,
    allowed: frozenset[int] | None,
    *,
    output: type[BaseSerializer[Any]],
    more: Callable[[], dict[str, Any]] = dict,
) -> None:
    """Raises Changed with the object, as `output` shows it, if its version is none of those allowed.

    `more` returns fields of the answer that are not the object's own.

    In the transaction that writes, after it has locked the object.
    """
    if allowed is not None and row.version not in allowed:
        raise Changed(current=serialized(output, row) | more())


def _matched(header: str) -> frozenset[int] | None:
    if header == "*":
        return None
    # Not ignored, as Django does: a client that meant to protect itself would overwrite something.
    if not _TAGS.fullmatch(header):
        raise field_error("If-Match", _('This is not a list of ETags. Example: "3.0a1b2c"'), code="invalid")
    # If-Match needs the strong comparison, which no weak tag passes.
    return frozenset(int(number) for weak, number in _VERSION.findall(header) if not weak)
