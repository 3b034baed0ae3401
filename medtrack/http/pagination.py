"""Cursor pagination by several keys, which DRF's own CursorPagination does not have.

A page starts after a row, not at an offset, so that rows that are added meanwhile do not shift it.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from medtrack.http import expected
from medtrack.http.formats import FIRST_YEAR, LAST_YEAR
from medtrack.http.problems import field_error

PAGE_PARAMETERS = frozenset({"cursor", "limit"})
_CURSOR = "The `next_cursor` of the previous page."
_NUMBER = re.compile("[0-9]{1,3}")
# PostgreSQL has years that Python has not. A cursor only contains years that the API has.
_YEARS = range(FIRST_YEAR, LAST_YEAR + 1)


def instant(text: str) -> datetime:
    """Raises ValueError."""
    at = datetime.fromisoformat(text)
    _refuse_other_ages(at)
    return at.astimezone(UTC)


def local_date(text: str) -> date:
    """Raises ValueError."""
    day = date.fromisoformat(text)
    _refuse_other_ages(day)
    return day


class Key(NamedTuple):
    """A column of the order. `read` parses its text in a cursor and raises ValueError."""

    name: str
    read: Callable[[str], Any]


class Pagination(BasePagination):
    """`?limit=` (by default 50, at most 200) and `?cursor=`.

    The order is descending by all keys. The last key must be unique.
    """

    page_size = 50
    max_page_size = 200
    keys: Sequence[Key] = (Key("created_at", instant), Key("id", UUID))

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        limit = self._limit(request.query_params.get("limit"))
        after = self._position(request.query_params.get("cursor"))
        ordered = queryset.order_by(*(f"-{key.name}" for key in self.keys))
        rows = list(ordered.filter(self._beyond(after))[: limit + 1])
        self._has_more = len(rows) > limit
        self._page = rows[:limit]
        return self._page

    def get_paginated_response(self, data: Any) -> Response:
        return Response(self.page(data))

    def page(self, results: Any) -> dict[str, Any]:
        """Returns the body of the response. `results` are the serialized rows of the page."""
        cursor = None
        if self._has_more:
            texts = [str(getattr(self._page[-1], key.name)) for key in self.keys]
            cursor = urlsafe_b64encode(json.dumps(texts, separators=(",", ":")).encode()).decode()
        return {"results": results, "next_cursor": cursor, "has_more": self._has_more}

    @classmethod
    def parameters(cls) -> list[OpenApiParameter]:
        """Returns the parameters for operations of views that are not a ListView."""
        return [
            OpenApiParameter("cursor", str, description=_CURSOR),
            OpenApiParameter("limit", cls._limits()),
        ]

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {"name": "cursor", "in": "query", "schema": {"type": "string"}, "description": _CURSOR},
            {"name": "limit", "in": "query", "schema": self._limits()},
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["results", "next_cursor", "has_more"],
            "properties": {
                "results": schema,
                "next_cursor": {"type": "string", "nullable": True},
                "has_more": {"type": "boolean"},
            },
        }

    @classmethod
    def _limits(cls) -> dict[str, Any]:
        return {"type": "integer", "minimum": 1, "maximum": cls.max_page_size, "default": cls.page_size}

    def _limit(self, text: str | None) -> int:
        if text is None:
            return self.page_size
        if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= self.max_page_size:
            raise field_error("limit", expected.number_in_query(1, self.max_page_size), code="invalid")
        return int(text)

    def _position(self, cursor: str | None) -> list[Any]:
        """Returns the keys of the last row of the previous page; empty for the first page."""
        if cursor is None:
            return []
        try:
            texts = json.loads(urlsafe_b64decode(cursor.encode("ascii")))
            return [key.read(text) for key, text in zip(self.keys, texts, strict=True)]
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            sentence = _(
                "This must be the `next_cursor` of the previous page, unchanged. The first page needs none."
            )
            raise field_error("cursor", sentence, code="invalid") from error

    def _beyond(self, position: list[Any]) -> Q:
        """Rows after this position. The bound on the first key alone is what an index can begin at."""
        if not position:
            return Q()
        bound = Q(**{f"{self.keys[0].name}__lte": position[0]})
        later, equal = Q(), Q()
        for key, value in zip(self.keys, position, strict=True):
            later |= equal & Q(**{f"{key.name}__lt": value})
            equal &= Q(**{key.name: value})
        return bound & later


def _refuse_other_ages(at: date) -> None:
    if at.year not in _YEARS:
        raise ValueError(at)
