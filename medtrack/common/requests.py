"""What views read from a request."""

from typing import Any

from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer


def validated(
    serializer: type[BaseSerializer[Any]], request: Request, *, partial: bool = False
) -> dict[str, Any]:
    """The body's fields as the serializer understands them. Raises ValidationError naming the fields."""
    checked = serializer(data=request.data, partial=partial)
    checked.is_valid(raise_exception=True)
    fields: dict[str, Any] = checked.validated_data
    return fields
