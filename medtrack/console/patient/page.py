"""One patient's page, and the pages that ask once more before something is done for the patient."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from medtrack.console.models import Patient
from medtrack.console.patient import facts as patient_facts
from medtrack.console.patient.actions import BUTTONS, Button, press
from medtrack.console.patient.adherence_charts import percent, span_in_words, taken_of_due
from medtrack.console.patient.schedule_words import clock, day_in_words, days
from medtrack.console.patient.timeline import KINDS, Choice, Timeline, timeline_of
from medtrack.console.patient.timeline_words import by_day
from medtrack.database.clock import database_now
from notifications.models import DeviceToken
from users.access_log import record_access
from users.models import AccessLog, User

if TYPE_CHECKING:
    _Base = admin.ModelAdmin[Patient]
else:
    _Base = object

PAGE = "admin:console_patient_change"


class PatientPage(_Base):
    """For the ModelAdmin of patients: what it shows of one, instead of a form."""

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.button_view)
        own = [
            path("<str:patient_id>/do/<str:name>/", page, name="console_patient_act"),
            path("<str:patient_id>/do/<str:name>/<str:target_id>/", page, name="console_patient_act_on"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        patient = patient_with(object_id)
        choice = Choice.read(request.GET)
        record_access(
            request, AccessLog.Action.VIEW, patient_id=patient.id, object_id=patient.id, **_asked_for(choice)
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(patient),
            **_page(request, patient, choice),
        }
        return TemplateResponse(request, "admin/console/patient/page.html", context)

    def button_view(
        self, request: HttpRequest, patient_id: str, name: str, target_id: str = ""
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        button = permitted_button(request, name)
        patient = patient_with(patient_id)
        target = _target(button, patient, target_id)
        back = reverse(PAGE, args=[patient.id])
        return confirmed(
            self.admin_site, request, button, patient=patient, target=target, back=back, shows_person=True
        )


def confirmed(
    site: admin.AdminSite,
    request: HttpRequest,
    button: Button,
    *,
    patient: User,
    target: Any,
    back: str,
    shows_person: bool,
) -> HttpResponse:
    """Says what is going to happen, and at a POST does it and goes back, with a message."""
    if request.method == "POST":
        press(button, request, patient=patient, target=target, now=database_now())
        return redirect(back)
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    shown = patient if target is None else target
    record_access(request, AccessLog.Action.VIEW, patient_id=patient.id, object_id=shown.pk)
    context = {
        **site.each_context(request),
        "title": button.label,
        "button": button,
        "patient": patient if shows_person else None,
        "target": target,
        "obstacle": button.obstacle(patient, target),
        "back": back,
    }
    return TemplateResponse(request, "admin/console/patient/confirm.html", context)


def permitted_button(request: HttpRequest, name: str) -> Button:
    """Raises Http404 and PermissionDenied."""
    if not (button := BUTTONS.get(name)):
        raise Http404
    if not request.user.has_perm(button.permission):
        raise PermissionDenied
    return button


def patient_with(id: str) -> Patient:
    """Not one of the staff and not erased. Raises Http404."""
    patient: Patient = get_object_or_404(Patient.objects.patients(), id=_uuid(id))
    return patient


def _target(button: Button, patient: User, target_id: str) -> Any:
    """What of the patient's the button is about. Raises Http404."""
    if (button.about is None) != (not target_id):
        raise Http404
    if button.about is DeviceToken:
        devices = patient.devices.select_related("session").defer("token")
        return get_object_or_404(devices, id=_uuid(target_id))
    return get_object_or_404(patient.sessions, id=_uuid(target_id)) if button.about else None


def _uuid(text: str) -> UUID:
    """Raises Http404."""
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404 from error


def _asked_for(choice: Choice) -> dict[str, Any]:
    asked = {"kind": choice.kind, "day": choice.day, "before": choice.before}
    return {name: str(value) for name, value in asked.items() if value}


def _page(request: HttpRequest, patient: Patient, choice: Choice) -> dict[str, Any]:
    now = database_now()
    zone = patient_facts.zone_of(patient)
    reads_notes = request.user.has_perm("console.read_notes")
    timeline = timeline_of(patient.id, choice, zone=zone, now=now, reads_notes=reads_notes)
    adherence = patient_facts.adherence_of(patient, zone=zone, now=now)
    today = now.astimezone(zone).date()
    return {
        "patient": patient,
        "zone": zone,
        "now": now,
        "today": today,
        "facts": _facts(patient),
        "reads_notes": reads_notes,
        "adherence": adherence,
        "figures": _figures(adherence),
        "day_rows": [
            (day_in_words(day), figures, percent(figures))
            for day, figures in sorted(adherence.days.items(), reverse=True)
            if figures.due
        ],
        "week_rows": [
            (span_in_words(line.period), line.figures, percent(line.figures))
            for line in reversed(adherence.weeks)
            if line.period
        ],
        "last_answer_at": (answered_at := patient_facts.last_answer_at(patient, now=now)),
        "last_answer_ago": _("%(span)s ago") % {"span": timesince(answered_at, now)} if answered_at else "",
        "next_doses": [
            (dose, patient_facts.quantity_of(dose)) for dose in patient_facts.next_doses(patient, now=now)
        ],
        "treatments": patient_facts.treatments_of(patient, today=today, reads_notes=reads_notes),
        "devices": patient_facts.devices_of(patient, now=now),
        "sessions": patient_facts.living_sessions(patient, now=now),
        "days": by_day(timeline.entries, person=patient, zone=zone, reads_notes=reads_notes),
        "choice": choice,
        "kinds": [(str(kind), label) for kind, label in KINDS.items()],
        "older": _older(timeline, choice),
        "may": {
            name.replace("-", "_"): request.user.has_perm(button.permission)
            for name, button in BUTTONS.items()
        },
    }


def _facts(patient: Patient) -> dict[str, str]:
    """Settings in words."""
    quiet = patient.quiet_hours_start_time, patient.quiet_hours_end_time
    follow_ups = {"cap": patient.follow_up_cap, "minutes": patient.follow_up_interval_minutes}
    return {
        "quiet_hours": f"{clock(quiet[0])} – {clock(quiet[1])}" if quiet[0] and quiet[1] else "",
        "follow_ups": (
            _("at most %(cap)s, every %(minutes)s minutes") % follow_ups
            if patient.follow_up_cap
            else _("none")
        ),
    }


def _figures(adherence: patient_facts.Adherence) -> list[tuple[str, str, str, float | None]]:
    """What it is of, the share, the numbers behind it, and the share as a number."""
    spans = (
        (_("last 7 days"), adherence.week),
        (_("last 30 days"), adherence.month),
        (_("last 90 days"), adherence.total),
    )
    shown = [(name, percent(figures), taken_of_due(figures), figures.rate) for name, figures in spans]
    if adherence.streaks:
        longest = _("longest: %(days)s") % {"days": days(adherence.streaks.longest)}
        shown.append((_("complete days in a row"), str(adherence.streaks.current), longest, None))
    return shown


def _older(timeline: Timeline, choice: Choice) -> str:
    """The query of the next page."""
    if not timeline.older:
        return ""
    asked = {"kind": choice.kind, "day": choice.day, "before": timeline.older}
    return "&".join(f"{name}={value}" for name, value in asked.items() if value)
