from typing import Any
from uuid import UUID

from django.contrib import admin

from users.models import Identity, Session, User
from users.read_only_admin import SUPERUSERS, ReadOnlyAdmin


@admin.register(User)
class UserAdmin(ReadOnlyAdmin[User]):
    """Who is staff, and what they may do, is for superusers."""

    person = ""
    guarded = dict.fromkeys(("is_staff", "is_superuser", "groups", "user_permissions"), SUPERUSERS)
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
