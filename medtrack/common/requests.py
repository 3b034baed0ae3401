"""What views read from a request."""

import json
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import parsers
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer


class LooseJSONParser(parsers.JSONParser):
    """For a body of parts that are read one by one: half a surrogate pair is for them to refuse."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.read(*args, **kwargs)
        except (ParseError, RecursionError, UnicodeError) as error:
            raise ParseError(_("The body is not JSON that we can read.")) from error

    def read(self, *args: Any, **kwargs: Any) -> Any:
        return super().parse(*args, **kwargs)


class JSONParser(LooseJSONParser):
    """JSON as the contract means it: UTF-8, nested within reason, without half a surrogate pair."""

    def read(self, *args: Any, **kwargs: Any) -> Any:
        content = super().read(*args, **kwargs)
        json.dumps(content, ensure_ascii=False).encode()
        return content


def queried(serializer: type[BaseSerializer[Any]], request: Request) -> dict[str, Any]:
    """The query's fields as the serializer understands them. Raises ValidationError naming the fields."""
    checked = serializer(data=request.query_params.dict())
    checked.is_valid(raise_exception=True)
    fields: dict[str, Any] = checked.validated_data
    return fields


def validated(
    serializer: type[BaseSerializer[Any]], request: Request, *, partial: bool = False
) -> dict[str, Any]:
    """The body's fields as the serializer understands them. Raises ValidationError naming the fields."""
    checked = serializer(data=request.data, partial=partial)
    checked.is_valid(raise_exception=True)
    fields: dict[str, Any] = checked.validated_data
    return fields
