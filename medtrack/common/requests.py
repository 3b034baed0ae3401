"""What views read from a request."""

import json
from functools import cache
from typing import Any, cast

from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from rest_framework import parsers
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.request import Request
from rest_framework.serializers import (
    BaseSerializer,
    BooleanField,
    CharField,
    Field,
    IntegerField,
    Serializer,
)


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
    # A plain dict: in a form, which DRF takes a query for, an empty value is one that was not sent.
    made = _made_once(serializer, partial=False, language=get_language())  # type: ignore[arg-type]
    fields: dict[str, Any] = made.run_validation(request.query_params.dict())
    return fields


def checked(serializer: type[BaseSerializer[Any]], data: Any, *, partial: bool = False) -> dict[str, Any]:
    """What was said in JSON, as the serializer understands it. Raises ValidationError naming the fields."""
    made = _made_once(serializer, partial=partial, language=get_language())  # type: ignore[arg-type]
    wrong = _wrong_types(made, data)
    try:
        fields: dict[str, Any] = made.run_validation(data)
    except ValidationError as error:
        if not wrong:
            raise
        raise ValidationError({**cast("dict[str, Any]", error.detail), **wrong}) from error
    if wrong:
        raise ValidationError(wrong)
    return fields


@cache
def _made_once(
    serializer: type[BaseSerializer[Any]], *, partial: bool, language: str | None
) -> BaseSerializer[Any]:
    """Making its fields takes longer than checking most bodies; a serializer that is only asked keeps no state.

    Except for some sentences, which stay in the language in which they were first said: so one for each.
    """
    return serializer(partial=partial)


def _wrong_types(serializer: BaseSerializer[Any], data: Any) -> dict[str, Any]:
    """DRF takes 5 for a text, "off" for a boolean and "7" for a number; the contract does not."""
    errors: dict[str, Any] = {}
    if not isinstance(serializer, Serializer) or not isinstance(data, dict):
        return errors
    for name, field in serializer.fields.items():
        value = data.get(name)
        if isinstance(field, BaseSerializer):
            if inner := _wrong_types(field, value):
                errors[name] = inner
        elif value is not None and not _is_of_its_type(field, value):
            errors[name] = [ErrorDetail(str(field.error_messages["invalid"]), code="invalid")]
    return errors


def _is_of_its_type(field: Field[Any, Any, Any, Any], value: Any) -> bool:
    if isinstance(field, CharField):
        return isinstance(value, str)
    if isinstance(field, BooleanField):
        return isinstance(value, bool)
    if isinstance(field, IntegerField):
        return not isinstance(value, bool | str)
    return True
