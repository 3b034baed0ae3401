"""What views read from a request."""

import json
import reprlib
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
    ChoiceField,
    Field,
    IntegerField,
    ListField,
    Serializer,
)

# How much of a wrong value an error repeats.
EXCERPT = 50


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


def validated_body(
    serializer: type[BaseSerializer[Any]], request: Request, *, partial: bool = False
) -> dict[str, Any]:
    """The body's fields as the serializer understands them. Raises ValidationError naming the fields."""
    return validated_data(serializer, request.data, partial=partial)


def validated_query(serializer: type[BaseSerializer[Any]], request: Request) -> dict[str, Any]:
    """The query's fields as the serializer understands them. Raises ValidationError naming the fields."""
    # A plain dict: in a form, which DRF takes a query for, an empty value is one that was not sent.
    made = _made_once(serializer, partial=False, language=get_language())  # type: ignore[arg-type]
    fields: dict[str, Any] = made.run_validation(request.query_params.dict())
    return fields


def validated_data(
    serializer: type[BaseSerializer[Any]], data: Any, *, partial: bool = False
) -> dict[str, Any]:
    """The fields of a JSON object as the serializer understands them. Raises ValidationError naming the fields.

    Types and lengths come first: a value of the wrong type or beyond its limit is not looked into any further.
    """
    made = _made_once(serializer, partial=partial, language=get_language())  # type: ignore[arg-type]
    refused = _refused(made, data)
    if not refused:
        fields: dict[str, Any] = made.run_validation(data)
        return fields
    try:
        made.run_validation({name: value for name, value in data.items() if name not in refused})
    except ValidationError as error:
        raise ValidationError({**cast("dict[str, Any]", error.detail), **refused}) from error
    raise ValidationError(refused)


@cache
def _made_once(
    serializer: type[BaseSerializer[Any]], *, partial: bool, language: str | None
) -> BaseSerializer[Any]:
    """Making its fields takes longer than checking most bodies; a serializer that is only asked keeps no state.

    Except for some sentences, which stay in the language in which they were first said: so one for each.
    """
    return serializer(partial=partial)


def _refused(serializer: BaseSerializer[Any], data: Any) -> dict[str, Any]:
    """Errors of the fields whose value has the wrong type or is too long.

    DRF takes 5 for a text, "off" for a boolean and "7" for a number; the contract does not. And it validates every
    entry of a list, or strips and matches a text, before it looks at the length.
    """
    errors: dict[str, Any] = {}
    if not isinstance(serializer, Serializer) or not isinstance(data, dict):
        return errors
    for name, field in serializer.fields.items():
        value = data.get(name)
        if isinstance(field, BaseSerializer):
            if inner := _refused(field, value):
                errors[name] = inner
        elif value is not None and (error := _error(field, value)):
            errors[name] = [error]
    return errors


def _error(field: Field[Any, Any, Any, Any], value: Any) -> ErrorDetail | None:
    match field:
        case CharField() if not isinstance(value, str):
            return _said(field, "invalid")
        case CharField() if _is_longer(field, value):
            return _said(field, "max_length", max_length=field.max_length)
        case ChoiceField() if not _may_be_a_choice(field, value):
            return _said(field, "invalid_choice", input=_excerpt(value))
        case ListField() if isinstance(value, list) and _has_more(field, value):
            return _said(field, "max_length", max_length=field.max_length)
        case BooleanField() if not isinstance(value, bool):
            return _said(field, "invalid")
        case IntegerField() if isinstance(value, bool | str):
            return _said(field, "invalid")
    return None


def _said(field: Field[Any, Any, Any, Any], code: str, **gaps: Any) -> ErrorDetail:
    return ErrorDetail(str(field.error_messages[code]).format(**gaps), code=code)


def _is_longer(field: CharField, text: str) -> bool:
    """Surrounding blanks do not count where they are trimmed."""
    if field.max_length is None or len(text) <= field.max_length:
        return False
    return len(text.strip() if field.trim_whitespace else text) > field.max_length


def _has_more(field: ListField, entries: list[Any]) -> bool:
    return field.max_length is not None and len(entries) > field.max_length


def _may_be_a_choice(field: ChoiceField, value: Any) -> bool:
    """DRF writes whatever was sent as a text, to look for it, and repeats it in the error."""
    return isinstance(value, str) and len(value) <= max(map(len, map(str, field.choices)))


def _excerpt(value: Any) -> str:
    return value[:EXCERPT] if isinstance(value, str) else reprlib.repr(value)
