"""Cursor pages: stable while rows are added, because a page starts after a row and not at a number."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from medtrack.common.problems import field_error

_NUMBER = re.compile("[1-9][0-9]*")


class Pagination(CursorPagination):
    """`?limit=` (50, at most 200) and `?cursor=`, newest first."""

    page_size = 50
    max_page_size = 200
    ordering = ("-created_at", "-id")

    def get_page_size(self, request: Request) -> int:
        text = request.query_params.get("limit", str(self.page_size))
        if not _NUMBER.fullmatch(text):
            raise field_error("limit", _("This is not a number of objects."), code="invalid")
        return min(int(text[:4]), self.max_page_size)

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor = super().decode_cursor(request)
        except NotFound as error:
            raise _invalid_cursor() from error
        if cursor is None:
            return None
        # Base64 is read leniently: only what we write ourselves is ours.
        given = request.query_params[self.cursor_query_param]
        is_ours = given and self._text_of(self.encode_cursor(cursor)) == given
        if not is_ours or (cursor.position is not None and not _is_instant(str(cursor.position))):
            raise _invalid_cursor()
        return cursor

    def get_paginated_response(self, data: Any) -> Response:
        link = self.get_next_link()
        cursor = self._text_of(link) if link else None
        return Response({"results": data, "next_cursor": cursor, "has_more": cursor is not None})

    def _text_of(self, link: str) -> str:
        return parse_qs(urlsplit(link).query).get(self.cursor_query_param, [""])[0]

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": "cursor",
                "in": "query",
                "schema": {"type": "string"},
                "description": "`next_cursor` of the page before.",
            },
            {
                "name": "limit",
                "in": "query",
                "schema": {"type": "integer", "minimum": 1, "default": self.page_size},
                "description": "How many at most; 200 when it is more.",
            },
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


def _invalid_cursor() -> ValidationError:
    return field_error("cursor", _("This is not a cursor of ours."), code="invalid")


def _is_instant(text: str) -> bool:
    try:
        return parse_datetime(text) is not None
    except ValueError:
        return False
