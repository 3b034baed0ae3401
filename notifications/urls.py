from django.urls import path

from medtrack.http import converters  # noqa: F401 - registers <id:…>
from notifications import views

urlpatterns = [
    path("me", views.Me.as_view()),
    path("devices", views.Devices.as_view()),
    path("devices/<id:device_id>", views.DeviceDetail.as_view()),
    path("devices/<id:device_id>/test", views.TestDevice.as_view()),
    path("doses/<id:dose_id>/trace", views.TraceDose.as_view()),
    path("notifications", views.Notifications.as_view()),
    path("notifications/read-all", views.ReadAllNotifications.as_view()),
    path("notifications/<id:notification_id>/read", views.ReadNotification.as_view()),
    path("notifications/settings", views.NotificationSettings.as_view()),
    path("notifications/<id:notification_id>/ack", views.AcknowledgeNotification.as_view()),
]
