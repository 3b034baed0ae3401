"""Which patients the console's list shows, and in which order: a form whose values become one query.

The list and the CSV file use the same form, so that a file contains what the list showed.
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

# Percentage points: adherence that is so much lower than in the thirty days before is dropping.
DROP = 15
MAX_WORDS = 8
DEFAULT_ORDER = "adherence_30"

TREND = Round((F("summary__adherence_30") - F("summary__adherence_before")) * 100)


# Patients with the annotation `trend`.
ListedPatients = QuerySet[Patient]

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


class _OrderField(forms.ChoiceField):
    # The choices are the useful ones; the columns' headings offer all of them.

    def valid_value(self, value: str) -> bool:
        return value.removeprefix("-") in _ORDERS


class PatientFilter(forms.Form):
    """Search text, filters and order of the list.

    Invalid values are ignored, and the list shows their errors.
    """

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
    sort = _OrderField(
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
        # An order of a column's heading becomes a choice too, so that the next search keeps it.
        order = self.cleaned_data.get("sort", "")
        orders = cast(Any, self.fields["sort"])
        if order and order not in dict(orders.choices):
            arrow = "↓" if order.startswith("-") else "↑"
            orders.choices = [*orders.choices, (order, f"{COLUMNS[order.removeprefix('-')]} {arrow}")]

    @property
    def text(self) -> str:
        return str(self.cleaned_data.get("q", ""))

    @property
    def order(self) -> str:
        return self.cleaned_data.get("sort") or DEFAULT_ORDER

    @property
    def filters(self) -> dict[str, str]:
        # Only those that are set.
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
        """Returns the form's values with these changes; None removes a value."""
        values = {"q": self.text, **self.filters, "sort": self.cleaned_data.get("sort")}
        return urlencode({name: value for name, value in (values | changes).items() if value})

    def patients(self) -> ListedPatients:
        patients = listed_patients()
        try:
            # An id, as support copies it from a log, matches one patient exactly.
            patients = patients.filter(id=UUID(self.text))
        except ValueError:
            # Each word has to be part of the name or of the e-mail; more words would only cost time.
            for word in self.text.split()[:MAX_WORDS]:
                patients = patients.filter(Q(email__icontains=word) | Q(name__icontains=word))
        for name, value in self.filters.items():
            column = "timezone" if name == "zone" else name
            patients = patients.filter(_CONDITIONS.get((name, value)) or Q(**{column: value}))
        # Patients without a value come last in both directions; the id keeps the order stable between pages.
        by, is_descending = _ORDERS[self.order.removeprefix("-")], self.order.startswith("-")
        if is_descending:
            return patients.order_by(by.desc(nulls_last=True), F("id").desc())
        return patients.order_by(by.asc(nulls_last=True), F("id").asc())


def listed_patients() -> ListedPatients:
    """Returns all patients, with their summaries where these exist already."""
    return cast(ListedPatients, Patient.objects.patients().select_related("summary").annotate(trend=TREND))


def zones() -> list[str]:
    """Returns the time zones in which there are patients."""
    zones = Patient.objects.patients().order_by("timezone").values_list("timezone", flat=True)
    return list(zones.distinct())
