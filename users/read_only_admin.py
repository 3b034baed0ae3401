"""Base class of the admin's pages, which show everything and change nothing.

Writes go through the apps' actions. A page that shows a patient's data adds a row to the access log before
it is shown.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import BaseModelAdmin
from django.core.exceptions import BadRequest
from django.db import DataError
from django.db.models import ForeignKey, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse

from users.access_log import record_access
from users.models import AccessLog
from users.querysets import is_patient

M = TypeVar("M", bound=Model)
_COMPARISONS = {"", "exact", "gt", "gte", "lt", "lte", "isnull"}


class GuardedFields(BaseModelAdmin[M]):
    """Hides fields, and searches and filters by them, from staff without the permission that they require."""

    # Field name to the permission that it requires.
    guarded: Mapping[str, str] = {}
    # Names of fields that only superusers see.
    superuser_fields: Collection[str] = ()

    def seen(self, request: HttpRequest, names: Sequence[Any]) -> list[Any]:
        return [name for name in names if self._may_see(request, name)]

    def _may_see(self, request: HttpRequest, name: Any) -> bool:
        # `name` is from an option of the admin: `fields`, `list_filter` with tuples, or
        # `search_fields` with prefixes.
        option = name[0] if isinstance(name, tuple) else name
        field = str(option).lstrip("^=@").partition("__")[0]
        if field in self.superuser_fields and not is_superuser(request):
            return False
        permission = self.guarded.get(field)
        return permission is None or request.user.has_perm(permission)

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
    # The lookup from a row to the user whose it is; empty for users themselves.
    person = "user"

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        """Only rows of patients, unless the viewer is a superuser: not of staff, and not of deleted users."""
        rows = super().get_queryset(request)
        if not self.shows_patients or is_superuser(request):
            return rows
        return rows.filter(is_patient(f"{self.person}__" if self.person else ""))

    def patient_of(self, obj: Any) -> UUID | None:
        """The id of the user whose data the row is."""
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
        """Allows the page's filters, foreign keys of the row, and comparisons of fields that the page shows.

        Django alone would also allow lookups such as `?token__startswith=`.
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
        context = getattr(response, "context_data", None)
        # A redirect, as for an unknown lookup, shows no list.
        if self.shows_patients and context and "cl" in context:
            self._record_list(request, context["cl"])
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
            patient_id = self.patient_of(obj)
            record_access(request, AccessLog.Action.VIEW, patient_id=patient_id, object_id=obj.pk)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        # The admin changes nothing, so it has no history.
        raise Http404

    def _record_list(self, request: HttpRequest, changelist: Any) -> None:
        details: dict[str, Any] = {"rows": len(changelist.result_list)}
        if search := changelist.query:
            details["search"] = search[:200]
        if filters := changelist.get_filters_params():
            details["filters"] = {name: list(values) for name, values in filters.items()}
        record_access(request, AccessLog.Action.SEARCH if search else AccessLog.Action.LIST, **details)


def is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and getattr(request.user, "is_superuser", False)


def _is_of(listed: Any, lookup: str) -> bool:
    """Whether the lookup is one of this entry of `list_filter`."""
    if isinstance(listed, type):
        return lookup == getattr(listed, "parameter_name", None)
    name = listed[0] if isinstance(listed, tuple) else listed
    return lookup == name or lookup.removeprefix(f"{name}__") in _COMPARISONS | {"isempty"}
