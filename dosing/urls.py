from django.urls import path

from dosing.views import adherence, doses, schedules
from medtrack.http import converters  # noqa: F401 - registers <id:…>

urlpatterns = [
    path("doses", doses.Doses.as_view()),
    path("doses/events", doses.DoseEvents.as_view()),
    path("doses/<id:dose_id>/take", doses.TakeDose.as_view()),
    path("doses/<id:dose_id>/skip", doses.SkipDose.as_view()),
    path("doses/<id:dose_id>/undo", doses.UndoDose.as_view()),
    path("doses/<id:dose_id>/snooze", doses.SnoozeDose.as_view()),
    path("doses/<id:dose_id>/amend", doses.AmendDose.as_view()),
    path("medications/<id:medication_id>", schedules.MedicationDetail.as_view()),
    path("medications/<id:medication_id>/pause", schedules.PauseMedication.as_view()),
    path("medications/<id:medication_id>/resume", schedules.ResumeMedication.as_view()),
    path("medications/<id:medication_id>/clone", schedules.CloneMedication.as_view()),
    path("medications/<id:medication_id>/schedules", schedules.MedicationSchedules.as_view()),
    path("schedules/<id:schedule_id>", schedules.ScheduleDetail.as_view()),
    path("schedules/<id:schedule_id>/preview", schedules.SchedulePreview.as_view()),
    path("adherence", adherence.Adherence.as_view()),
    path("adherence/current", adherence.CurrentAdherence.as_view()),
]
