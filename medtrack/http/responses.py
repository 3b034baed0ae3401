"""What views write into an answer."""

from functools import lru_cache
from typing import Any

from rest_framework.serializers import BaseSerializer


def shown(serializer: type[BaseSerializer[Any]], value: Any) -> Any:
    """The value as the serializer shows it."""
    return _made_once(serializer).to_representation(value)  # type: ignore[arg-type]


@lru_cache
def _made_once(serializer: type[BaseSerializer[Any]]) -> BaseSerializer[Any]:
    """Making its fields takes longer than showing most things; a serializer that only shows keeps no state."""
    return serializer()
