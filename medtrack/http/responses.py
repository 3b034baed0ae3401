"""How views build their responses."""

from functools import lru_cache
from typing import Any

from rest_framework import status
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer


def serialized(serializer: type[BaseSerializer[Any]], value: Any) -> Any:
    """Returns the serializer's representation of the value."""
    return _shared_instance(serializer).to_representation(value)  # type: ignore[arg-type]


def created(serializer: type[BaseSerializer[Any]], value: Any, is_new: bool, **more: Any) -> Response:
    """Returns 201 for a new object, and 200 for one that an earlier request with the same id created.

    `more` are fields of the response that are not the object's.
    """
    return Response(
        serialized(serializer, value) | more,
        status=status.HTTP_201_CREATED if is_new else status.HTTP_200_OK,
    )


@lru_cache
def _shared_instance(serializer: type[BaseSerializer[Any]]) -> BaseSerializer[Any]:
    # Building a serializer's fields takes longer than most representations, and representing keeps no state.
    return serializer()
