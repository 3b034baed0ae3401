"""The list of patients, and the page that exports it to a file."""

from collections.abc import Iterator
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from medtrack.console.models import Patient
from medtrack.console.patients import export as exports
from medtrack.console.patients.rows import Freshness, patients_in_words, row_of
from medtrack.console.patients.search import COLUMNS, DEFAULT_ORDER, PatientFilter, zones
from medtrack.console.patients.summaries import refreshed_at
from medtrack.database.clock import database_now
from users.access_log import record_access
from users.models import AccessLog, User

# The first click on these headings sorts in descending order: the newest, the most.
_LAST_FIRST = {"answer", "devices", "since"}
_HEADINGS = ("name", "adherence_30", "adherence_7", "trend", "answer", "devices", "zone")


PER_PAGE = 50


def patient_list(request: HttpRequest) -> HttpResponse:
    _require(request, "console.view_patient")
    patient_filter, now = PatientFilter(request.GET), database_now()
    # The viewer's zone, not the patients': rows of different zones are compared with each other.
    zone = cast(User, request.user).zone
    page = Paginator(patient_filter.patients(), PER_PAGE).get_page(request.GET.get("page"))
    rows = [row_of(patient, now=now, zone=zone) for patient in page]
    # After the query, because the access log has how many patients were found and shown.
    _record(request, patient_filter, shown=len(rows), found=page.paginator.count, page=page.number)
    numbers = list(page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1))
    # A gap and the current page have no URL.
    urls = [
        "" if number in (page.number, Paginator.ELLIPSIS) else "?" + patient_filter.query_string(page=number)
        for number in numbers
    ]
    context = {
        **_context(request, patient_filter),
        "title": capfirst(Patient._meta.verbose_name_plural),
        "zones": zones(),
        "page": page,
        "count_in_words": patients_in_words(page.paginator.count),
        "pages": list(zip(numbers, urls, strict=True)),
        "rows": rows,
        "headings": list(_headings(patient_filter)),
        "freshness": Freshness(refreshed_at(), now, zone),
        "can_export": request.user.has_perm("console.export_patients"),
    }
    return TemplateResponse(request, "admin/console/patient/change_list.html", context)


def export_page(request: HttpRequest) -> HttpResponseBase:
    """A GET shows how many patients and which columns the file will have. A POST returns the file."""
    _require(request, "console.view_patient", "console.export_patients")
    patient_filter = PatientFilter(request.GET)
    count = patient_filter.patients().count()
    is_busy = exports.is_running()
    if request.method == "POST" and not (is_busy or patient_filter.errors):
        # Before the first row is read: an export that cannot be recorded does not happen.
        _record(request, patient_filter, action=AccessLog.Action.EXPORT, found=count)
        # Streamed after the view has returned: the file may have more rows than fit into memory.
        response = StreamingHttpResponse(
            exports.csv_of(patient_filter.patients()), content_type="text/csv; charset=utf-8"
        )
        response["Content-Disposition"] = f'attachment; filename="patients-{database_now():%Y-%m-%d}.csv"'
        return response
    context = {
        **_context(request, patient_filter),
        "title": _("Export"),
        "count": count,
        "count_in_words": patients_in_words(count),
        "columns": [(name, about) for name, _path, about in exports.COLUMNS],
        "is_busy": is_busy,
    }
    status = 400 if patient_filter.errors else 409 if request.method == "POST" else 200
    return TemplateResponse(request, "admin/console/patient/export.html", context, status=status)


def _context(request: HttpRequest, patient_filter: PatientFilter) -> dict[str, Any]:
    return {
        **admin.site.each_context(request),
        "opts": Patient._meta,
        "filter": patient_filter,
        "query_string": patient_filter.query_string(),
    }


def _require(request: HttpRequest, *permissions: str) -> None:
    if not request.user.has_perms(permissions):
        raise PermissionDenied


def _record(
    request: HttpRequest,
    patient_filter: PatientFilter,
    *,
    action: AccessLog.Action | None = None,
    **numbers: int,
) -> None:
    values: dict[str, Any] = {"q": patient_filter.text, "filters": patient_filter.filters}
    details = {name: value for name, value in values.items() if value} | numbers
    access = action or (AccessLog.Action.SEARCH if patient_filter.narrows else AccessLog.Action.LIST)
    record_access(request, access, sort=patient_filter.order, **details)


def _headings(patient_filter: PatientFilter) -> Iterator[dict[str, Any]]:
    """Yields for each column its label, how it is sorted now, and the URL that sorts by it."""
    for name in _HEADINGS:
        is_sorted = patient_filter.order.removeprefix("-") == name
        descends = patient_filter.order.startswith("-")
        next_descends = not descends if is_sorted else name in _LAST_FIRST
        order = f"-{name}" if next_descends else name
        yield {
            "name": name,
            "label": COLUMNS[name],
            "sorted": ("descending" if descends else "ascending") if is_sorted else "",
            "url": "?" + patient_filter.query_string(sort=None if order == DEFAULT_ORDER else order),
        }
