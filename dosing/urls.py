from django.urls import path

from dosing.views import adherence, doses, plans
from medtrack.http import converters  # noqa: F401 - registers <id:…>

urlpatterns = [
    path("doses", doses.Doses.as_view()),
    path("doses/events", doses.DoseEvents.as_view()),
    path("doses/<id:dose_id>/take", doses.TakeDose.as_view()),
    path("doses/<id:dose_id>/skip", doses.SkipDose.as_view()),
    path("doses/<id:dose_id>/undo", doses.UndoDose.as_view()),
    path("doses/<id:dose_id>/snooze", doses.SnoozeDose.as_view()),
    path("doses/<id:dose_id>/amend", doses.AmendDose.as_view()),
    path("medications/<id:medication_id>", plans.MedicationDetail.as_view()),
    path("medications/<id:medication_id>/pause", plans.PauseMedication.as_view()),
    path("medications/<id:medication_id>/resume", plans.ResumeMedication.as_view()),
    path("medications/<id:medication_id>/clone", plans.CloneMedication.as_view()),
    path("medications/<id:medication_id>/schedules", plans.MedicationSchedules.as_view()),
    path("schedules/<id:schedule_id>", plans.ScheduleDetail.as_view()),
    path("schedules/<id:schedule_id>/preview", plans.SchedulePreview.as_view()),
    path("adherence", adherence.Adherence.as_view()),
    path("adherence/current", adherence.CurrentAdherence.as_view()),
]
