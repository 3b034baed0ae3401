"""The devices' own admin pages with the two buttons of who runs the engine, who need not see any patient's data."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from medtrack.console.patient.actions import BUTTONS
from medtrack.console.patient.page import confirmed, permitted_button
from notifications.admin import DeviceTokenAdmin
from notifications.models import DeviceToken

OURS = {name for name, button in BUTTONS.items() if button.about is DeviceToken}


class OperatedDeviceTokenAdmin(DeviceTokenAdmin):
    change_form_template = "admin/notifications/devicetoken/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.button_view)
        own = path("<uuid:device_id>/do/<str:name>/", page, name="notifications_devicetoken_act")
        return [own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        permitted = [
            (name, BUTTONS[name]) for name in sorted(OURS) if request.user.has_perm(BUTTONS[name].permission)
        ]
        return super().change_view(
            request, object_id, form_url, {"buttons": permitted, **(extra_context or {})}
        )

    def button_view(self, request: HttpRequest, device_id: UUID, name: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        button = permitted_button(request, name if name in OURS else "")
        devices = self.get_queryset(request).select_related("user", "session").defer("token")
        device = get_object_or_404(devices, id=device_id)
        back = reverse("admin:notifications_devicetoken_change", args=[device.id])
        return confirmed(
            self.admin_site,
            request,
            button,
            patient=device.user,
            target=device,
            back=back,
            shows_person=False,
        )


def use_in(site: admin.AdminSite) -> None:
    site.unregister(DeviceToken)
    site.register(DeviceToken, OperatedDeviceTokenAdmin)
