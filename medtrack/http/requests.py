"""How views read requests: JSON bodies and queries, validated by serializers.

What a serializer does not have is refused by name. It may say in `elsewhere` what to use instead of a name,
and an output serializer in `computed` which of its fields may be sent with any value and are ignored.
"""

import json
from functools import cache
from typing import Any, cast

from django.utils.translation import get_language
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

from medtrack.http.field_errors import explain
from medtrack.http.unknown_fields import refused_fields


class LooseJSONParser(parsers.JSONParser):
    """For bodies whose parts are validated one by one.

    Lone surrogates, which UTF-8 cannot encode, are accepted.
    """

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.read(*args, **kwargs)
        except (ParseError, RecursionError, UnicodeError) as error:
            raise ParseError from error

    def read(self, *args: Any, **kwargs: Any) -> Any:
        return super().parse(*args, **kwargs)


class JSONParser(LooseJSONParser):
    """JSON in UTF-8, without lone surrogates, nested at most as deep as Python can recurse."""

    def read(self, *args: Any, **kwargs: Any) -> Any:
        content = super().read(*args, **kwargs)
        json.dumps(content, ensure_ascii=False).encode()
        return content


def validated_body(
    serializer: type[BaseSerializer[Any]],
    request: Request,
    *,
    partial: bool = False,
    output: type[BaseSerializer[Any]] | None = None,
    present: object = None,
) -> dict[str, Any]:
    """Returns the validated fields of the body, and refuses all others by name. Raises ValidationError.

    A client may send back what it got: fields of `output` that cannot be set are accepted with the values
    of `present`, the object that is changed.
    """
    language = get_language()
    instance = _shared_instance(serializer, partial=partial, language=language)  # type: ignore[arg-type]
    shown = None
    if output is not None:
        shown = _shared_instance(output, partial=False, language=language)  # type: ignore[arg-type]
    refused = refused_fields(instance, request.data, output=shown, present=present)
    return _validated(instance, request.data, refused)


def validated_query(serializer: type[BaseSerializer[Any]], request: Request) -> dict[str, Any]:
    """Returns the validated fields of the query. Raises ValidationError.

    Unknown parameters were refused before: an operation's are those that it documents.
    """
    instance = _shared_instance(serializer, partial=False, language=get_language())  # type: ignore[arg-type]
    # A plain dict, because DRF would take a QueryDict for a form, in which an empty value means none.
    fields: dict[str, Any] = instance.run_validation(request.query_params.dict())
    return fields


def validated_data(
    serializer: type[BaseSerializer[Any]], data: Any, *, partial: bool = False
) -> dict[str, Any]:
    """Returns the validated fields of a JSON object and ignores all others. Raises ValidationError."""
    instance = _shared_instance(serializer, partial=partial, language=get_language())  # type: ignore[arg-type]
    return _validated(instance, data, {})


def _validated(instance: BaseSerializer[Any], data: Any, refused: dict[str, Any]) -> dict[str, Any]:
    # Types and lengths first: DRF does not validate a field any further that has a wrong type or is too long.
    wrong = _type_errors(instance, data)
    if not wrong and not refused:
        fields: dict[str, Any] = instance.run_validation(data)
        return fields
    errors = _merged(wrong, refused)
    # The response lists the errors of the other fields, too.
    try:
        instance.run_validation({name: value for name, value in data.items() if name not in wrong})
    except ValidationError as error:
        raise ValidationError(_merged(cast("dict[str, Any]", error.detail), errors)) from error
    raise ValidationError(errors)


def _merged(some: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Returns the errors of both, of nested objects too. Of two lists about one field the second is returned."""
    both = some | more
    for name in some.keys() & more.keys():
        if isinstance(some[name], dict) and isinstance(more[name], dict):
            both[name] = _merged(some[name], more[name])
    return both


@cache
def _shared_instance(
    serializer: type[BaseSerializer[Any]], *, partial: bool, language: str | None
) -> BaseSerializer[Any]:
    # Building a serializer's fields takes longer than validating most bodies, and validating keeps no state.
    # Only the error messages are in one language, so there is an instance for each language.
    instance = serializer(partial=partial)
    explain(instance)
    return instance


def _type_errors(serializer: BaseSerializer[Any], data: Any) -> dict[str, Any]:
    """Returns the errors of the fields whose values have the wrong type or are too long."""
    # DRF accepts 5 for a string, "off" for a boolean and "7" for a number, which the API does not. And it
    # validates every item of a list, and strips and matches a string, before it checks the length.
    errors: dict[str, Any] = {}
    if not isinstance(serializer, Serializer) or not isinstance(data, dict):
        return errors
    for name, field in serializer.fields.items():
        value = data.get(name)
        if isinstance(field, BaseSerializer):
            if nested := _type_errors(field, value):
                errors[name] = nested
        elif value is not None and (error := _type_error(field, value)):
            errors[name] = [error]
    return errors


def _type_error(field: Field[Any, Any, Any, Any], value: Any) -> ErrorDetail | None:
    match field:
        case CharField() if not isinstance(value, str):
            return _detail(field, "invalid")
        case CharField(max_length=int(most), trim_whitespace=trims) if len(value) > most:
            # Surrounding white space does not count where it is stripped.
            if len(value.strip() if trims else value) <= most:
                return None
            return _detail(field, "max_length")
        # DRF would convert any value to a string, look it up and repeat all of it in the error.
        case ChoiceField() if not isinstance(value, str) or len(value) > max(
            map(len, map(str, field.choices))
        ):
            return _detail(field, "invalid_choice")
        case ListField(max_length=int(most)) if isinstance(value, list) and len(value) > most:
            return _detail(field, "max_length")
        case BooleanField() if not isinstance(value, bool):
            return _detail(field, "invalid")
        case IntegerField() if isinstance(value, bool | str):
            return _detail(field, "invalid")
    return None


def _detail(field: Field[Any, Any, Any, Any], code: str) -> ErrorDetail:
    return ErrorDetail(str(field.error_messages[code]).format(), code=code)
