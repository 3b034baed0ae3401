from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pytest_django import Settings


@pytest.fixture
def limits(settings: Settings) -> Callable[..., None]:
    """Returns a function that changes some of the limits of an account."""

    def change(**changes: Any) -> None:
        settings.LIMITS = replace(settings.LIMITS, **changes)

    return change
