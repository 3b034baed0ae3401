"""What views read from a request."""

from typing import Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer


class JSONParser(parsers.JSONParser):
    """Says of a body nested beyond all reason what it says of any other body it cannot read."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().parse(*args, **kwargs)
        except RecursionError as error:
            raise ParseError from error


def validated(
    serializer: type[BaseSerializer[Any]], request: Request, *, partial: bool = False
) -> dict[str, Any]:
    """The body's fields as the serializer understands them. Raises ValidationError naming the fields."""
    checked = serializer(data=request.data, partial=partial)
    checked.is_valid(raise_exception=True)
    fields: dict[str, Any] = checked.validated_data
    return fields
