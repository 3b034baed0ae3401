"""What the errors of serializer fields say: what the value should have been, in the caller's language.

Django REST Framework's own texts say only that a value is wrong, and have translations that are not ours. A
field says what it takes by a class attribute `expected`; for fields without one it follows from their type and
bounds. A test looks at every field of every operation.
"""

import copy
from typing import Any

from django.core.validators import ProhibitNullCharactersValidator
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from medtrack.http import expected

Field = serializers.Field[Any, Any, Any, Any]


def explain(field: Field) -> None:
    """Replaces the error messages of a field, and of the fields within it, in the language that is active."""
    takes = _expected(field)
    field.error_messages = {code: _escaped(_sentence(code, takes)) for code in field.error_messages}
    # Copies, because instances in other languages may share a validator.
    field.validators = [_explained(validator, takes) for validator in field.validators]
    if isinstance(field, serializers.Serializer):
        for inner in field.fields.values():
            explain(inner)
    elif (child := getattr(field, "child", None)) is not None:
        explain(child)


def _sentence(code: str, takes: str) -> str:
    match code:
        case "required":
            return _("This is missing. %(expected)s") % {"expected": takes}
        case "null":
            return _("This cannot be null. %(expected)s") % {"expected": takes}
        case "blank" | "empty":
            return _("This cannot be empty. %(expected)s") % {"expected": takes}
    return takes


def _escaped(sentence: str) -> str:
    # DRF formats its messages.
    return sentence.replace("{", "{{").replace("}", "}}")


def _explained(validator: Any, takes: str) -> Any:
    explained = copy.copy(validator)
    if isinstance(validator, ProhibitNullCharactersValidator | ProhibitSurrogateCharactersValidator):
        takes = _("This must be a text without the characters U+0000 and U+D800 to U+DFFF.")
    if hasattr(explained, "message"):
        # Django formats these messages, with %.
        explained.message = takes.replace("%", "%%")
    return explained


def _expected(field: Any) -> str:
    if declared := getattr(field, "expected", None):
        return str(declared)
    match field:
        case serializers.Serializer():
            return expected.json_object(field.fields)
        case serializers.ListSerializer() | serializers.ListField():
            return expected.list_of(getattr(field, "max_length", None))
        case serializers.ChoiceField():
            return expected.one_of(field.choices)
        case serializers.BooleanField():
            return str(expected.TRUE_OR_FALSE)
        case serializers.IntegerField():
            return expected.whole_number(field.min_value, field.max_value)
        case serializers.EmailField():
            return str(expected.EMAIL)
        case serializers.CharField():
            return expected.text(field.max_length)
    return str(expected.ANY_JSON)
