"""Settings of django-allauth, which checks a password and then a second factor, and nothing else."""

from collections.abc import Mapping
from datetime import timedelta
from time import time
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _

from medtrack.console.sign_in import encryption
from users.actions.accounts import InvalidCredentials
from users.models import User

FRESH = timedelta(minutes=5)
WRONG_CODE = _("This code is not right, or it was used before.")
MESSAGES: Mapping[str, Promise] = {
    "mfa/messages/totp_activated.txt": _("The authenticator app is set up."),
    "mfa/messages/totp_deactivated.txt": _("The authenticator app is not used any more."),
    "mfa/messages/webauthn_added.txt": _("The passkey was added."),
    "mfa/messages/webauthn_removed.txt": _("The passkey was removed."),
}


class AccountAdapter(DefaultAccountAdapter):
    """No one signs up here. A forgotten password is reset in the app."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": InvalidCredentials.default_detail,
        "incorrect_password": InvalidCredentials.default_detail,
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_login_stages(self) -> list[str]:
        return ["allauth.mfa.stages.AuthenticateStage"]

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        return authenticate(request, **credentials)

    def reauthenticate(self, user: Any, password: str) -> bool:
        return bool(self.authenticate(context.request, email=user.email, password=password) == user)

    def is_safe_url(self, url: str) -> bool:
        # Only pages of this host.
        host = {context.request.get_host()}
        return url_has_allowed_host_and_scheme(url, host, require_https=context.request.is_secure())

    def is_reauthentication_required(self, *, app: str, **_more: Any) -> bool:
        # Changing the second factor requires a recent use of it. Without one, the password was used just now.
        return has_factor(context.request.user) and not used_factor(context.request, within=FRESH)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        # Not the password: it alone must not be enough to change a second factor.
        code = {
            "id": "mfa_reauthenticate",
            "description": _("Use a code"),
            "url": reverse("mfa_reauthenticate"),
        }
        passkey = {
            "id": "mfa_reauthenticate:webauthn",
            "description": _("Use a passkey"),
            "url": reverse("mfa_reauthenticate_webauthn"),
        }
        types = set(Authenticator.objects.filter(user=user).values_list("type", flat=True))
        methods = [passkey] if Authenticator.Type.WEBAUTHN in types else []
        return [*methods, code] if types - {Authenticator.Type.WEBAUTHN} else methods

    def add_message(
        self,
        request: HttpRequest,
        level: int,
        message_template: str | None = None,
        message_context: dict[str, Any] | None = None,
        extra_tags: str = "",
        message: str | None = None,
    ) -> None:
        if text := message or MESSAGES.get(message_template or ""):
            messages.add_message(request, level, str(text), extra_tags=extra_tags)


class SecondFactorAdapter(DefaultMFAAdapter):
    error_messages = {**DefaultMFAAdapter.error_messages, "incorrect_code": WRONG_CODE}

    def encrypt(self, text: str) -> str:
        # A copy of the database alone must not be enough to sign in.
        return encryption.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Raises Undecryptable, which `with_admin_context` answers."""
        return encryption.decrypt(encrypted_text)

    def generate_authenticator_name(self, user: Any, type: Authenticator.Type) -> str:  # noqa: A002
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return str(_("Passkey %(number)s")) % {"number": number}

    def _get_site_name(self) -> str:
        return settings.MFA_TOTP_ISSUER


def has_factor(user: "User | AnonymousUser | Any") -> bool:
    """Whether a second factor is set up. Recovery codes alone do not count."""
    factors = Authenticator.objects.exclude(type=Authenticator.Type.RECOVERY_CODES)
    return user.pk is not None and factors.filter(user_id=user.pk).exists()


def used_factor(request: HttpRequest, *, within: timedelta | None = None) -> bool:
    """Whether this session used a second factor that still exists, at most `within` ago."""
    since = time() - within.total_seconds() if within else 0
    records = get_authentication_records(request, request.user)
    shown = [record["id"] for record in records if record["method"] == "mfa" and record["at"] > since]
    return bool(shown) and Authenticator.objects.filter(user_id=request.user.pk, pk__in=shown).exists()
