from django.urls import path

from dosing import views
from medtrack.common import converters  # noqa: F401 - registers <id:…>

urlpatterns = [
    path("doses", views.Doses.as_view()),
    path("doses/<id:dose_id>/take", views.TakeDose.as_view()),
    path("doses/<id:dose_id>/skip", views.SkipDose.as_view()),
    path("doses/<id:dose_id>/undo", views.UndoDose.as_view()),
    path("doses/<id:dose_id>/snooze", views.SnoozeDose.as_view()),
    path("doses/<id:dose_id>/amend", views.AmendDose.as_view()),
    path("me", views.Me.as_view()),
    path("medications/<id:medication_id>", views.MedicationDetail.as_view()),
    path("medications/<id:medication_id>/pause", views.PauseMedication.as_view()),
    path("medications/<id:medication_id>/resume", views.ResumeMedication.as_view()),
    path("medications/<id:medication_id>/schedules", views.MedicationSchedules.as_view()),
    path("schedules/<id:schedule_id>", views.ScheduleDetail.as_view()),
    path("schedules/<id:schedule_id>/preview", views.SchedulePreview.as_view()),
    path("adherence", views.Adherence.as_view()),
    path("adherence/current", views.CurrentAdherence.as_view()),
]
