from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from users.models import AccessLog, Identity, Session, User
from users.read_only_admin import ReadOnlyAdmin


@admin.register(User)
class UserAdmin(ReadOnlyAdmin[User]):
    person = ""
    superuser_fields = ("is_staff", "is_superuser", "groups", "user_permissions")
    list_display = ("name", "email", "timezone", "language", "is_active", "is_staff", "created_at")
    list_filter = ("is_active", "is_staff", "language")
    search_fields = ("email", "name", "id")
    exclude = ("password",)
    ordering = ("-created_at",)

    def patient_of(self, obj: Any) -> UUID | None:
        return obj.pk  # type: ignore[no-any-return]


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin[Session]):
    list_display = ("user", "device_name", "last_used_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    fields = ("user", "device_name", "created_at", "last_used_at", "expires_at", "revoked_at")
    ordering = ("-last_used_at",)


@admin.register(Identity)
class IdentityAdmin(ReadOnlyAdmin[Identity]):
    list_display = ("user", "issuer", "created_at")
    list_select_related = ("user",)


class StaffFilter(admin.SimpleListFilter):
    # Lists who is staff now. Finding everyone who ever was would read the whole log.
    title = _("staff")
    parameter_name = "staff"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        staff = User.objects.filter(is_staff=True).order_by("email")
        return [(str(user.pk), user.email or str(user.pk)) for user in staff]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AccessLog]) -> QuerySet[AccessLog]:
        known = {str(value) for value, _name in self.lookup_choices}
        chosen = self.value()
        return queryset.filter(staff=UUID(chosen)) if chosen in known else queryset


@admin.register(AccessLog)
class AccessLogAdmin(ReadOnlyAdmin[AccessLog]):
    """For superusers: no role has the permission to see it."""

    shows_patients = False
    list_display = ("at", "who", "action", "page", "patient_id", "details", "address")
    list_filter = ("action", "at", StaffFilter)
    search_fields = ("=patient_id", "=staff__email")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessLog]:
        # Not select_related: its inner join would leave out rows whose staff account is deleted.
        return super().get_queryset(request).prefetch_related("staff")

    @admin.display(description=_("staff"), ordering="staff")
    def who(self, access: AccessLog) -> str:
        if access.staff_id is None:
            return f"manage.py ({access.details.get('by', '')})"
        return str(access.staff)
