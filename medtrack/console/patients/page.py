"""The list of patients, and the file that it is exported to."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from medtrack.console.models import Patient
from medtrack.console.patients import export as exports
from medtrack.console.patients.rows import Freshness, patients_in_words, row_of
from medtrack.console.patients.search import COLUMNS, DEFAULT_ORDER, Wish, zones
from medtrack.console.patients.summaries import refreshed_at
from medtrack.database.clock import database_now
from users.access_log import record_access
from users.models import AccessLog, User

# A click on these headings begins with the last ones: the newest, the most.
_LAST_FIRST = {"answer", "devices", "since"}
_HEADINGS = ("name", "adherence_30", "adherence_7", "trend", "answer", "devices", "zone")


if TYPE_CHECKING:
    _Base = admin.ModelAdmin[Patient]
else:
    _Base = object


class PatientList(_Base):
    """For the ModelAdmin of patients: the list, and its export."""

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(self.export_view)
        return [path("export/", export, name="console_patient_export"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        self._require(request, "console.view_patient")
        wish, now, zone = Wish(request.GET), database_now(), _zone_of(request)
        page = Paginator(wish.found(), self.list_per_page).get_page(request.GET.get("page"))
        rows = [row_of(patient, now=now, zone=zone) for patient in page]
        _record(request, wish, shown=len(rows), found=page.paginator.count, page=page.number)
        context = {
            **self._context(request, wish),
            **(extra_context or {}),
            "title": capfirst(self.opts.verbose_name_plural),
            "zones": zones(),
            "page": page,
            "count_in_words": patients_in_words(page.paginator.count),
            "pages": _pages(page, wish),
            "rows": rows,
            "headings": list(_headings(wish)),
            "freshness": Freshness(refreshed_at(), now, zone),
            "can_export": request.user.has_perm("console.export_patients"),
        }
        return TemplateResponse(request, "admin/console/patient/change_list.html", context)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """First how many they are and what the file will hold, then the file itself."""
        self._require(request, "console.view_patient", "console.export_patients")
        wish = Wish(request.GET)
        count = wish.found().count()
        is_busy = exports.is_under_way()
        if request.method == "POST" and not (is_busy or wish.errors):
            _record(request, wish, action=AccessLog.Action.EXPORT, found=count)
            return _file(wish)
        context = {
            **self._context(request, wish),
            "title": _("Export"),
            "count": count,
            "count_in_words": patients_in_words(count),
            "columns": [(name, about) for name, _path, about in exports.COLUMNS],
            "is_busy": is_busy,
        }
        status = 400 if wish.errors else 409 if request.method == "POST" else 200
        return TemplateResponse(request, "admin/console/patient/export.html", context, status=status)

    def _context(self, request: HttpRequest, wish: Wish) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "wish": wish,
            "query_string": wish.query_string(),
        }

    def _require(self, request: HttpRequest, *permissions: str) -> None:
        if not request.user.has_perms(permissions):
            raise PermissionDenied


def _zone_of(request: HttpRequest) -> ZoneInfo:
    return cast(User, request.user).zone


def _record(
    request: HttpRequest, wish: Wish, *, action: AccessLog.Action | None = None, **numbers: int
) -> None:
    asked: dict[str, Any] = {"q": wish.text, "filters": wish.filters}
    details = {name: value for name, value in asked.items() if value} | numbers
    chosen = action or (AccessLog.Action.SEARCH if wish.narrows else AccessLog.Action.LIST)
    record_access(request, chosen, sort=wish.order, **details)


def _file(wish: Wish) -> StreamingHttpResponse:
    response = StreamingHttpResponse(exports.csv_of(wish.found()), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="patients-{database_now():%Y-%m-%d}.csv"'
    return response


def _headings(wish: Wish) -> Iterator[dict[str, Any]]:
    """What each column is called, how it is sorted now, and where a click on it leads."""
    for name in _HEADINGS:
        is_sorted = wish.order.removeprefix("-") == name
        descends = wish.order.startswith("-")
        next_descends = not descends if is_sorted else name in _LAST_FIRST
        order = f"-{name}" if next_descends else name
        yield {
            "name": name,
            "label": COLUMNS[name],
            "sorted": ("descending" if descends else "ascending") if is_sorted else "",
            "url": "?" + wish.query_string(sort=None if order == DEFAULT_ORDER else order),
        }


def _pages(page: Page[Patient], wish: Wish) -> list[tuple[Any, str]]:
    """Numbers with their links; a gap and the page itself have none."""
    paginator = page.paginator
    shown = paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1)
    return [
        (number, "" if number in (page.number, Paginator.ELLIPSIS) else "?" + wish.query_string(page=number))
        for number in shown
    ]
