from django.urls import path

from dosing import views

urlpatterns = [
    path("medications/<uuid:medication_id>", views.MedicationDetail.as_view()),
    path("medications/<uuid:medication_id>/schedules", views.MedicationSchedules.as_view()),
    path("schedules/<uuid:schedule_id>", views.ScheduleDetail.as_view()),
    path("doses", views.Doses.as_view()),
    path("doses/<uuid:dose_id>/take", views.TakeDose.as_view()),
    path("doses/<uuid:dose_id>/skip", views.SkipDose.as_view()),
    path("doses/<uuid:dose_id>/undo", views.UndoDose.as_view()),
]
