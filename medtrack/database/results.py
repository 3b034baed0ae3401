"""What the actions of all apps return."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class ActionResult(Generic[T]):
    """The row after the action. `changed` is False when it was like this before and nothing was written."""

    object: T
    changed: bool
