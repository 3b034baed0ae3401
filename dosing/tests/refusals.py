"""What a refused request answers."""

from typing import Any


def assert_refused(response: Any, field: str, code: str) -> None:
    assert (response.status_code, response.json()["type"]) == (400, "ValidationError")
    assert [(error["field"], error["code"]) for error in response.json()["errors"]] == [(field, code)]
