"""Refuses what an operation does not document: parameters of the query, and a body where it takes none.

These are checked before the view runs. The fields of a body are checked by `validated_body`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from medtrack.http.pagination import PAGE_PARAMETERS
from medtrack.http.requests import validated_body, validated_query
from medtrack.http.unknown_fields import refused_parameters

# Serializers of queries and OpenApiParameters, as `documented` has them.
Parameters = Sequence[Any]


class NoFields(Serializer[Any]):
    """The body of an operation that takes none."""


def refuse_unknown_query(view: APIView, request: Request, parameters: Parameters) -> None:
    """Raises ValidationError if the query has others than these, one twice, or a wrong value besides."""
    if not request.META.get("QUERY_STRING"):
        return
    known = _query_names(tuple(parameters))
    if request.method in ("GET", "HEAD") and getattr(view, "pagination_class", None):
        known |= PAGE_PARAMETERS
    if not refused_parameters(request.query_params, known):
        return
    _check_session(view, request)
    errors: dict[str, Any] = {}
    for parameter in parameters:
        if isinstance(parameter, type):
            try:
                validated_query(parameter, request)
            except ValidationError as error:
                errors |= cast("dict[str, Any]", error.detail)
    raise ValidationError(errors | refused_parameters(request.query_params, known))


def refuse_body(view: APIView, request: Request) -> None:
    """Raises ValidationError if the body of a write has fields. An empty object, or null, is none."""
    if request.method not in ("GET", "HEAD") and request.data:
        _check_session(view, request)
        validated_body(NoFields, request)


def _check_session(view: APIView, request: Request) -> None:
    """Lets a view that has not read the session yet do so: it may have ended, and has the caller's language."""
    if check := getattr(view, "check_session", None):
        check(request)


@cache
def _query_names(parameters: tuple[Any, ...]) -> frozenset[str]:
    names: set[str] = set()
    for parameter in parameters:
        if isinstance(parameter, type):
            names.update(parameter().fields)
        elif parameter.location == OpenApiParameter.QUERY:
            names.add(parameter.name)
    return frozenset(names)
