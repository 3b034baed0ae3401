"""What views read from a request."""

import json
from functools import lru_cache
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


def validated(
    serializer: type[BaseSerializer[Any]], request: Request, *, partial: bool = False
) -> dict[str, Any]:
    """The body's fields as the serializer understands them. Raises ValidationError naming the fields."""
    return checked(serializer, request.data, partial=partial)


def queried(serializer: type[BaseSerializer[Any]], request: Request) -> dict[str, Any]:
    """The query's fields as the serializer understands them. Raises ValidationError naming the fields."""
    return checked(serializer, request.query_params)


def checked(serializer: type[BaseSerializer[Any]], data: Any, *, partial: bool = False) -> dict[str, Any]:
    """The fields as the serializer understands them. Raises ValidationError naming the fields."""
    fields: dict[str, Any] = _made_once(serializer, partial=partial).run_validation(data)  # type: ignore[arg-type]
    return fields


@lru_cache
def _made_once(serializer: type[BaseSerializer[Any]], *, partial: bool) -> BaseSerializer[Any]:
    """Making its fields takes longer than checking most bodies; a serializer that is only asked keeps no state."""
    return serializer(partial=partial)
