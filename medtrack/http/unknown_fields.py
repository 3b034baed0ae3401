"""What an operation does not take: unknown fields and parameters, and fields that only its answers have."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any
from uuid import UUID

from django.http import QueryDict
from django.utils.translation import gettext as _
from rest_framework.exceptions import ErrorDetail
from rest_framework.serializers import (
    BaseSerializer,
    DecimalField,
    Field,
    ListField,
    ListSerializer,
    Serializer,
)

from medtrack.http import formats

# How many unknown names of one object a response lists, and how many characters of each.
MOST_NAMES = 20
MOST_CHARACTERS = 50
_FRACTION = re.compile(r"\.([0-9]+)")

Errors = dict[Any, Any]
NestedField = BaseSerializer[Any] | ListField


def shortened(name: str) -> str:
    """Returns a name that a client sent, short and without what UTF-8 cannot encode."""
    start = name if len(name) <= MOST_CHARACTERS else name[: MOST_CHARACTERS - 1] + "…"
    return start.encode(errors="replace").decode()


def names_beyond(known: Collection[str], data: Mapping[str, Any]) -> list[str]:
    """Returns the first names of an object that are not known, as they were sent."""
    # Looked up in a set: of ten thousand names none costs a call.
    names = frozenset(known)
    return list(islice((name for name in data if name not in names), MOST_NAMES))


def refused_parameters(query: QueryDict, known: Collection[str]) -> Errors:
    """Returns the errors of parameters that are unknown or sent twice, by name."""
    errors = {
        shortened(name): [_unknown(name, known, kind="parameter")] for name in names_beyond(known, query)
    }
    for name in known:
        if len(query.getlist(name)) > 1:
            errors[name] = [ErrorDetail(_("Send this parameter only once."), code="repeated")]
    return errors


def refused_fields(
    serializer: BaseSerializer[Any],
    data: Any,
    *,
    output: BaseSerializer[Any] | None = None,
    present: object = None,
) -> Errors:
    """Returns the errors of names that the serializer does not have, also inside of nested objects.

    Fields of `output` are known, but only read: they are accepted with the value that the object `present`
    has, and those that are computed with any.
    """
    if not isinstance(serializer, Serializer) or not isinstance(data, dict):
        return {}
    names, nested = _shape(serializer)
    # Nearly all bodies have known names only.
    errors = {} if data.keys() <= names else _refused_names(serializer, data, output, present)
    for name, field in nested:
        if name in data and (inner := _refused_inside(field, data[name])):
            errors[name] = inner
    return errors


@lru_cache(maxsize=500)
def _shape(serializer: Serializer[Any]) -> tuple[frozenset[str], tuple[tuple[str, NestedField], ...]]:
    """Returns the names of all fields, and those fields that may have names inside."""
    fields = dict(serializer.fields)
    nested = (
        (name, field) for name, field in fields.items() if isinstance(field, BaseSerializer | ListField)
    )
    return frozenset(fields), tuple(nested)


def _refused_names(
    serializer: Serializer[Any],
    data: dict[str, Any],
    output: BaseSerializer[Any] | None,
    present: object,
) -> Errors:
    known = _shape(serializer)[0]
    # All of the object is represented, because a serializer may show a field otherwise than it is stored.
    shown = dict(output.fields) if isinstance(output, Serializer) else {}
    values = {} if output is None or present is None else output.to_representation(present)
    places: Mapping[str, str] = getattr(serializer, "elsewhere", {})
    computed: Collection[str] = getattr(output, "computed", ())
    errors: Errors = {
        shortened(name): [_unknown(name, known, place=places.get(name))]
        for name in names_beyond({*known, *shown, *computed}, data)
    }
    for name in data.keys() & (shown.keys() - known - set(computed)):
        if name not in values or not _is_same(data[name], values[name], shown[name]):
            errors[name] = [_read_only(present, place=places.get(name))]
    return errors


def _refused_inside(field: NestedField, value: Any) -> Errors:
    """Of a list only the first object with errors is reported, so that the response stays short."""
    if not isinstance(field, ListField | ListSerializer):
        return refused_fields(field, value)
    child, most = field.child, getattr(field, "max_length", None)
    # A list that is too long is refused for its length, without looking at what is in it.
    if not isinstance(child, BaseSerializer) or not isinstance(value, list) or (most and len(value) > most):
        return {}
    each = ((index, refused_fields(child, item)) for index, item in enumerate(value))
    return next(({index: errors} for index, errors in each if errors), {})


def _unknown(
    name: str, known: Iterable[str], *, place: str | None = None, kind: str = "field"
) -> ErrorDetail:
    values = {"name": shortened(name), "place": place, "known": ", ".join(sorted(known))}
    if place:
        text = _("“%(name)s” is not set here. Use %(place)s.")
    elif not values["known"]:
        text = _("“%(name)s” is unknown: nothing is expected here.")
    elif kind == "parameter":
        text = _("There is no parameter “%(name)s”. Known are: %(known)s.")
    else:
        text = _("There is no field “%(name)s”. Known are: %(known)s.")
    return ErrorDetail(text % values, code="unknown")


def _read_only(present: object, *, place: str | None) -> ErrorDetail:
    if place:
        text = _("This field is not set here. Use %(place)s.") % {"place": place}
    elif present is None:
        text = _("This field cannot be set. Leave it out.")
    else:
        text = _("This field cannot be changed. Leave it out, or send the value that it has.")
    return ErrorDetail(text, code="read_only")


def _is_same(offered: Any, shown: Any, field: Field[Any, Any, Any, Any]) -> bool:
    """Whether two JSON values mean the same. Numbers and booleans differ, though Python finds True equal to 1."""
    if isinstance(shown, UUID):
        shown = str(shown)
    if not isinstance(offered, str) or not isinstance(shown, str):
        return isinstance(offered, bool) == isinstance(shown, bool) and bool(offered == shown)
    if isinstance(field, DecimalField) and formats.QUANTITY.fullmatch(offered):
        return Decimal(offered) == Decimal(shown)
    return offered == shown or _is_same_id(offered, shown) or _is_same_instant(offered, shown)


def _is_same_id(offered: str, shown: str) -> bool:
    try:
        return len(offered) == len(shown) and UUID(offered) == UUID(shown)
    except ValueError:
        return False


def _is_same_instant(offered: str, shown: str) -> bool:
    """Whether two instants are one. Some clients keep fewer digits of a second than we sent."""
    if not formats.INSTANT.fullmatch(offered) or not formats.INSTANT.fullmatch(shown):
        return False
    try:
        apart = abs(datetime.fromisoformat(offered) - datetime.fromisoformat(shown))
    except ValueError:
        return False
    digits = _FRACTION.search(offered)
    return apart < timedelta(seconds=10.0 ** -(min(len(digits[1]), 6) if digits else 0))
