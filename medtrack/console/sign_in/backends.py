"""Who may have a session in the admin: active staff and nobody else, for as long as they are."""

from typing import Any

from django.contrib.auth.backends import ModelBackend


class StaffBackend(ModelBackend):
    """Asked at every request too: whoever is staff no more, is nobody."""

    def user_can_authenticate(self, user: Any) -> bool:
        return super().user_can_authenticate(user) and bool(getattr(user, "is_staff", False))

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **more: Any
    ) -> Any:
        return super().authenticate(request, username or more.pop("email", None), password, **more)
