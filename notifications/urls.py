from django.urls import path

from notifications import views

urlpatterns = [
    path("devices", views.Devices.as_view()),
    path("devices/<uuid:device_id>", views.DeviceDetail.as_view()),
]
