"""One patient's page: profile, adherence, medications, next doses, devices, sessions and the timeline."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from dosing.durations import days
from medtrack.console.models import Patient
from medtrack.console.patient import facts
from medtrack.console.patient.actions import ACTIONS
from medtrack.console.patient.adherence_charts import (
    heat_map,
    percent,
    span_in_words,
    taken_of_due,
    weekly_line,
)
from medtrack.console.patient.descriptions import device_state, dose_quantity, treatment_text
from medtrack.console.patient.schedule_words import clock, day_in_words
from medtrack.console.patient.timeline import KINDS, Timeline, TimelineQuery, timeline_of
from medtrack.console.patient.timeline_words import by_day
from medtrack.database.clock import database_now
from notifications.explanations import REASONS
from users.access_log import record_access
from users.models import AccessLog

PAGE = "admin:console_patient_change"


def patient_page(request: HttpRequest, patient_id: str) -> HttpResponse:
    if not request.user.has_perm("console.view_patient"):
        raise PermissionDenied
    patient = patient_or_404(patient_id)
    query = TimelineQuery.read(request.GET)
    # Before anything is read: a page that cannot be recorded is not shown.
    filters: dict[str, Any] = {name: str(value) for name, value in query.filters.items()}
    record_access(request, AccessLog.Action.VIEW, patient_id=patient.id, object_id=patient.id, **filters)
    context = {
        **admin.site.each_context(request),
        "opts": Patient._meta,
        "title": str(patient),
        **_context(request, patient, query),
    }
    return TemplateResponse(request, "admin/console/patient/page.html", context)


def patient_or_404(patient_id: str) -> Patient:
    """Raises Http404 for staff, for deleted users and for what is no id."""
    patient: Patient = get_object_or_404(Patient.objects.patients(), id=uuid_or_404(patient_id))
    return patient


def uuid_or_404(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404 from error


def _context(request: HttpRequest, patient: Patient, query: TimelineQuery) -> dict[str, Any]:
    # One instant for all parts, so that they do not contradict each other.
    now = database_now()
    zone = facts.zone_of(patient)
    today = now.astimezone(zone).date()
    reads_notes = request.user.has_perm("console.read_notes")
    timeline = timeline_of(patient.id, query, zone=zone, now=now, reads_notes=reads_notes)
    answered_at = facts.last_answer_at(patient, now=now)
    return {
        "patient": patient,
        "zone": zone,
        "now": now,
        "today": today,
        "settings": _settings_in_words(patient),
        "reads_notes": reads_notes,
        **_adherence(patient, facts.adherence_of(patient, zone=zone, now=now)),
        "last_answer_at": answered_at,
        "last_answer_ago": _("%(span)s ago") % {"span": timesince(answered_at, now)} if answered_at else "",
        "next_doses": [(dose, dose_quantity(dose)) for dose in facts.next_doses(patient, now=now)],
        "treatments": [
            treatment_text(treatment, today=today, now=now)
            for treatment in facts.treatments_of(patient, reads_notes=reads_notes)
        ],
        "devices": [
            (
                device,
                device_state(device.token),
                REASONS.get(device.token.revoke_reason, device.token.revoke_reason),
            )
            for device in facts.devices_of(patient, now=now)
        ],
        "sessions": facts.living_sessions(patient, now=now),
        "days": by_day(timeline.entries, patient=patient, zone=zone, reads_notes=reads_notes),
        "query": query,
        "kinds": [(str(kind), label) for kind, label in KINDS.items()],
        "older": _older(timeline, query),
        # Template variables have no hyphens.
        "may": {
            name.replace("-", "_"): request.user.has_perm(action.permission)
            for name, action in ACTIONS.items()
        },
    }


def _adherence(patient: Patient, adherence: facts.PatientAdherence) -> dict[str, Any]:
    """The charts, the same numbers as tables, and the figures of the header."""
    spans = (
        (_("last 7 days"), adherence.week),
        (_("last 30 days"), adherence.month),
        (_("last 90 days"), adherence.total),
    )
    figures = [(name, percent(of_span), taken_of_due(of_span)) for name, of_span in spans]
    if adherence.streaks:
        longest = _("longest: %(days)s") % {"days": days(adherence.streaks.longest)}
        figures.append((_("complete days in a row"), str(adherence.streaks.current), longest))
    return {
        "figures": figures,
        "heat_map": heat_map(
            adherence.days, first=adherence.first, last=adherence.last, week_start=patient.week_start
        ),
        "weekly_line": weekly_line(adherence.weeks),
        "day_rows": [
            (day_in_words(day), of_day, percent(of_day))
            for day, of_day in sorted(adherence.days.items(), reverse=True)
            # Days without doses would only make the table longer.
            if of_day.due
        ],
        "week_rows": [
            (span_in_words(line.period), line.figures, percent(line.figures))
            for line in reversed(adherence.weeks)
            if line.period
        ],
    }


def _settings_in_words(patient: Patient) -> dict[str, str]:
    start, end = patient.quiet_hours_start_time, patient.quiet_hours_end_time
    follow_ups = {"cap": patient.follow_up_cap, "minutes": patient.follow_up_interval_minutes}
    return {
        "quiet_hours": f"{clock(start)} – {clock(end)}" if start and end else "",
        "follow_ups": (
            _("at most %(cap)s, every %(minutes)s minutes") % follow_ups
            if patient.follow_up_cap
            else _("none")
        ),
    }


def _older(timeline: Timeline, query: TimelineQuery) -> str:
    """Returns the query string of the next page, or an empty text."""
    if not timeline.older:
        return ""
    filters = {**query.filters, "before": timeline.older}
    return "&".join(f"{name}={value}" for name, value in filters.items())
