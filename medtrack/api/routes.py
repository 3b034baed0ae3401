"""The whole API: every path and its view, the most frequent requests first."""

from typing import Any

from django.urls import path
from rest_framework.views import APIView

from dosing.views import adherence, doses, offline, schedules, trips
from dosing.views import medications as dosing_medications
from medications import views as medications
from medtrack.api import me
from medtrack.http import converters  # noqa: F401 - registers <id:…>
from notifications import views as notifications
from users import views as users


def by_method(**views: type[APIView]) -> type[APIView]:
    """Returns one view with the methods of several views, which must all have the default settings of DRF."""
    methods: dict[str, Any] = {method: getattr(view, method) for method, view in views.items()}
    return type("ByMethod", (APIView,), methods)


ROUTES: dict[str, type[APIView]] = {
    "doses": doses.Doses,
    "doses/events": offline.DoseEvents,
    "doses/trace": notifications.TraceDate,
    "doses/upcoming": doses.UpcomingDoses,
    "doses/<id:dose_id>": doses.DoseDetail,
    "doses/<id:dose_id>/take": doses.TakeDose,
    "doses/<id:dose_id>/skip": doses.SkipDose,
    "doses/<id:dose_id>/undo": doses.UndoDose,
    "doses/<id:dose_id>/snooze": doses.SnoozeDose,
    "doses/<id:dose_id>/amend": doses.AmendDose,
    "medications": medications.Medications,
    "medications/<id:medication_id>": by_method(
        get=medications.MedicationDetail,
        patch=dosing_medications.WriteMedication,
        delete=dosing_medications.WriteMedication,
    ),
    "medications/<id:medication_id>/pause": dosing_medications.PauseMedication,
    "medications/<id:medication_id>/resume": dosing_medications.ResumeMedication,
    "medications/<id:medication_id>/clone": dosing_medications.CloneMedication,
    "medications/<id:medication_id>/next-allowed": dosing_medications.NextAllowedIntake,
    "medications/<id:medication_id>/history": medications.MedicationHistory,
    "medications/<id:medication_id>/schedules": schedules.MedicationSchedules,
    "schedules": schedules.Schedules,
    "schedules/<id:schedule_id>": schedules.ScheduleDetail,
    "schedules/<id:schedule_id>/preview": schedules.SchedulePreview,
    "adherence": adherence.Adherence,
    "adherence/current": adherence.CurrentAdherence,
    "me": me.Me,
    "me/trips": trips.Trips,
    "me/trips/<id:trip_id>": trips.TripDetail,
    "devices": notifications.Devices,
    "devices/<id:device_id>": notifications.DeviceDetail,
    "devices/<id:device_id>/test": notifications.TestDevice,
    "doses/<id:dose_id>/trace": notifications.TraceDose,
    "notifications": notifications.Notifications,
    "notifications/read-all": notifications.ReadAllNotifications,
    "notifications/<id:notification_id>/read": notifications.ReadNotification,
    "notifications/settings": notifications.NotificationSettings,
    "notifications/<id:notification_id>/ack": notifications.AcknowledgeNotification,
    "auth/signup": users.SignUp,
    "auth/login": users.LogIn,
    "auth/refresh": users.Refresh,
    "auth/logout": users.LogOut,
    "auth/social": users.LogInSocially,
    "auth/password/forgot": users.ForgotPassword,
    "auth/password/reset": users.ResetPassword,
    "auth/password/change": users.ChangePassword,
    "auth/email/verify": users.VerifyEmail,
    "auth/email/send-verification": users.SendVerification,
    "auth/sessions": users.Sessions,
    "auth/sessions/<id:session_id>": users.SessionDetail,
}

urlpatterns = [path(route, view.as_view()) for route, view in ROUTES.items()]
