"""Admin pages that show everything and change nothing: writes go through the API's own actions.

Each page that shows somebody's data tells the site so before it is shown; the site writes down who looked.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import BaseModelAdmin
from django.core.exceptions import BadRequest
from django.db import DataError
from django.db.models import ForeignKey, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse

from users.querysets import is_patient

M = TypeVar("M", bound=Model)
# Nobody is ever given it, and superusers have every permission.
SUPERUSERS = "console.be_superuser"
READ_NOTES = "console.read_notes"
_COMPARISONS = {"", "exact", "gt", "gte", "lt", "lte", "isnull"}


class Recorder(Protocol):
    """What a site does about pages that show somebody's data."""

    def record_view(self, request: HttpRequest, *, patient_id: UUID | None, object_id: object) -> None: ...

    def record_list(
        self, request: HttpRequest, *, rows: int, search: str, filters: dict[str, list[str]]
    ) -> None: ...


class GuardedFields(BaseModelAdmin[M]):
    """Fields that take a permission of their own; without it they are neither shown nor searched or filtered by."""

    guarded: Mapping[str, str] = {}

    def seen(self, request: HttpRequest, names: Sequence[Any]) -> list[Any]:
        return [name for name in names if self._may_see(request, name)]

    def _may_see(self, request: HttpRequest, name: Any) -> bool:
        field = name[0] if isinstance(name, tuple) else name
        right = self.guarded.get(str(field).lstrip("^=@").partition("__")[0])
        return right is None or request.user.has_perm(right)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.seen(request, super().get_fields(request, obj))


class GuardedInline(GuardedFields[M], admin.TabularInline[M, Any]):
    extra = 0
    max_num = 0
    can_delete = False


class ReadOnlyAdmin(GuardedFields[M], admin.ModelAdmin[M]):
    show_full_result_count = False
    list_per_page = 50
    actions = None
    shows_patients = True
    # The way from a row to whose it is.
    person = "user"

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        """Nobody looks into the medicines of a colleague, nor of who was erased."""
        rows = super().get_queryset(request)
        if not self.shows_patients or request.user.has_perm(SUPERUSERS):
            return rows
        return rows.filter(is_patient(f"{self.person}__" if self.person else ""))

    def patient_of(self, obj: Any) -> UUID | None:
        """Whose data the row is."""
        return cast("UUID | None", obj.user_id)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return self.seen(request, super().get_list_display(request))

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return self.seen(request, super().get_list_filter(request))

    def get_search_fields(self, request: HttpRequest) -> list[Any]:
        return self.seen(request, super().get_search_fields(request))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """By a filter of the page, by what a row belongs to, or by comparing what its page shows anyway.

        Django would also take `?token__startswith=`.
        """
        field, _separator, rest = lookup.partition("__")
        if not self._may_see(request, field):
            return False
        if any(_is_of(listed, lookup) for listed in self.get_list_filter(request)):
            return super().lookup_allowed(lookup, value, request)
        belongs = {column.name for column in self.opts.concrete_fields if isinstance(column, ForeignKey)}
        if field in belongs:
            return rest in ("", "exact", "id", "id__exact")
        return rest in _COMPARISONS and field in ("id", *self.get_fields(request))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if any("\0" in value for values in request.GET.lists() for value in (values[0], *values[1])):
            raise BadRequest
        try:
            response = super().changelist_view(request, extra_context)
        except (DataError, ValueError, ArithmeticError) as error:  # a year 0, an amount beyond every number
            raise BadRequest from error
        found = getattr(response, "context_data", None)
        if self.shows_patients and found and "cl" in found:
            listed = found["cl"]
            asked = listed.get_filters_params()
            filters = {name: list(values) for name, values in asked.items()}
            rows = len(listed.result_list)
            self.recorder.record_list(request, rows=rows, search=listed.query, filters=filters)
        return response

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if self.shows_patients and obj is not None:
            self.recorder.record_view(request, patient_id=self.patient_of(obj), object_id=obj.pk)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Nothing is changed here, so there is no history."""
        raise Http404

    @property
    def recorder(self) -> Recorder:
        return cast(Recorder, self.admin_site)


def _is_of(listed: Any, lookup: str) -> bool:
    """Whether a filter, as a page lists it, asks by this."""
    if isinstance(listed, type):
        return lookup == getattr(listed, "parameter_name", None)
    name = listed[0] if isinstance(listed, tuple) else listed
    return lookup == name or lookup.removeprefix(f"{name}__") in _COMPARISONS | {"isempty"}
