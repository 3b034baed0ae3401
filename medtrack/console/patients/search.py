"""Which patients the console's list shows, and in which order: what was asked for becomes one query.

Pages and the CSV file ask in the same words, so that a file holds what the list showed.
"""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.conf import settings
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Lower, NullIf, Round
from django.utils.translation import gettext_lazy as _

from medtrack.console.models import Patient
from users.zones import ZONES

# Of a hundred: that much worse than in the thirty days before is dropping.
DROP = 15
MAX_WORDS = 8
DEFAULT_ORDER = "adherence_30"

TREND = Round((F("summary__adherence_30") - F("summary__adherence_before")) * 100)


# Patients with their `trend`.
Found = QuerySet[Patient]

_ORDERS: dict[str, Any] = {
    "adherence_30": F("summary__adherence_30"),
    "adherence_7": F("summary__adherence_7"),
    "trend": F("trend"),
    "answer": F("summary__last_answer_at"),
    "devices": F("summary__device_count"),
    "name": Lower(NullIf("name", Value(""))),
    "zone": F("timezone"),
    "since": F("created_at"),
}
COLUMNS: dict[str, Any] = {
    "name": _("Patient"),
    "adherence_30": _("30 days"),
    "adherence_7": _("7 days"),
    "trend": _("Trend"),
    "answer": _("Last answer"),
    "devices": _("Devices"),
    "zone": _("Zone"),
    "since": _("Signed up"),
}
_CONDITIONS: dict[tuple[str, str], Q] = {
    ("adherence", "80"): Q(summary__adherence_30__lt=0.8),
    ("adherence", "50"): Q(summary__adherence_30__lt=0.5),
    ("trend", "dropping"): Q(trend__lte=-DROP),
    ("device", "silent"): Q(summary__silent_device_count__gt=0),
    ("device", "none"): Q(summary__device_count=0),
    ("push", "failing"): Q(summary__failed_push_count__gt=0),
}


class _Order(forms.ChoiceField):
    """Its choices are the useful ones; the columns' headings know them all."""

    def valid_value(self, value: str) -> bool:
        return value.removeprefix("-") in _ORDERS


class Wish(forms.Form):
    """What staff look for. What cannot be understood is left out and said so."""

    q = forms.CharField(label=_("Search"), required=False, max_length=200)
    adherence = forms.ChoiceField(
        label=_("Adherence"),
        required=False,
        choices=[("", _("any")), ("80", _("below 80%")), ("50", _("below 50%"))],
    )
    trend = forms.ChoiceField(
        label=_("Trend"), required=False, choices=[("", _("any")), ("dropping", _("dropping"))]
    )
    device = forms.ChoiceField(
        label=_("Devices"),
        required=False,
        choices=[("", _("any")), ("silent", _("silent")), ("none", _("no device"))],
    )
    push = forms.ChoiceField(
        label=_("Pushes"), required=False, choices=[("", _("any")), ("failing", _("failing"))]
    )
    zone = forms.ChoiceField(
        label=_("Zone"), required=False, choices=[("", _("any")), *((zone, zone) for zone in sorted(ZONES))]
    )
    language = forms.ChoiceField(
        label=_("Language"), required=False, choices=[("", _("any")), *settings.LANGUAGES]
    )
    sort = _Order(
        label=_("Sort by"),
        required=False,
        choices=[
            ("", _("lowest adherence")),
            ("trend", _("steepest drop")),
            ("answer", _("longest silence")),
            ("-answer", _("latest answer")),
            ("name", _("name")),
            ("-since", _("newest")),
        ],
    )

    FILTERS = ("adherence", "trend", "device", "push", "zone", "language")

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        self.is_valid()
        self._offer(self.cleaned_data.get("sort", ""))

    @property
    def text(self) -> str:
        return str(self.cleaned_data.get("q", ""))

    @property
    def order(self) -> str:
        return self.cleaned_data.get("sort") or DEFAULT_ORDER

    @property
    def filters(self) -> dict[str, str]:
        """Those that are set."""
        return {name: value for name in self.FILTERS if (value := self.cleaned_data.get(name))}

    @property
    def filters_in_words(self) -> list[tuple[Any, Any]]:
        return [
            (self.fields[name].label, dict(cast(Any, self.fields[name]).choices)[value])
            for name, value in self.filters.items()
        ]

    @property
    def narrows(self) -> bool:
        return bool(self.text or self.filters)

    def query_string(self, **changes: object) -> str:
        """Of the same wish but for these changes; None takes something out of it."""
        wished = {"q": self.text, **self.filters, "sort": self.cleaned_data.get("sort")}
        return urlencode({name: value for name, value in (wished | changes).items() if value})

    def _offer(self, order: str) -> None:
        """The order that is, so that searching on keeps it."""
        orders = cast(Any, self.fields["sort"])
        if order and order not in dict(orders.choices):
            arrow = "↓" if order.startswith("-") else "↑"
            orders.choices = [*orders.choices, (order, f"{COLUMNS[order.removeprefix('-')]} {arrow}")]

    def found(self) -> Found:
        found = _matching(living(), self.text)
        for name, value in self.filters.items():
            found = found.filter(_CONDITIONS.get((name, value)) or _is(name, value))
        return found.order_by(*_ordering(self.order))


def living() -> Found:
    """Everybody who is neither staff nor erased, with what sums them up when it is there."""
    everybody = Patient.objects.patients().select_related("summary")
    return cast(Found, everybody.annotate(trend=TREND))


def zones() -> list[str]:
    """Those that somebody lives in."""
    everybody = Patient.objects.patients()
    return list(everybody.order_by("timezone").values_list("timezone", flat=True).distinct())


def _matching(found: Found, text: str) -> Found:
    """An id finds exactly one; otherwise every word is part of the name or the e-mail."""
    if id := _id(text):
        return found.filter(id=id)
    for word in text.split()[:MAX_WORDS]:
        found = found.filter(Q(email__icontains=word) | Q(name__icontains=word))
    return found


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _is(name: str, value: str) -> Q:
    return Q(**{{"zone": "timezone"}.get(name, name): value})


def _ordering(order: str) -> tuple[Any, Any]:
    """Who has no value comes last both ways, and equals keep their order from page to page."""
    by = _ORDERS[order.removeprefix("-")]
    if order.startswith("-"):
        return by.desc(nulls_last=True), F("id").desc()
    return by.asc(nulls_last=True), F("id").asc()
