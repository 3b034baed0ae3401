"""The forms of the second factor. A code is good for one use, whichever process it is shown to."""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.mfa.utils import decrypt
from allauth.mfa.webauthn.forms import AddWebAuthnForm, AuthenticateWebAuthnForm, ReauthenticateWebAuthnForm
from django import forms
from django.db import transaction
from django.utils.translation import gettext_lazy as _

CODE = {"autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false", "maxlength": 20}


class _OnceMixin(forms.Form):
    """The step of a code stays with the authenticator, under its lock: neither it nor one before is good again."""

    code = forms.CharField(label=_("Code"), max_length=20, widget=forms.TextInput(attrs=CODE))
    authenticator: Authenticator

    def clean_code(self) -> str:
        code: str = super().clean_code()  # type: ignore[misc]
        if self.authenticator.type == Authenticator.Type.TOTP:
            use_up(self.authenticator, code)
        return code


class CodeForm(_OnceMixin, AuthenticateForm):
    pass


class CodeAgainForm(_OnceMixin, ReauthenticateForm):
    pass


def use_up(authenticator: Authenticator, code: str) -> None:
    """Raises ValidationError for a code whose step, or one after it, was used already."""
    with transaction.atomic():
        held = Authenticator.objects.select_for_update().get(pk=authenticator.pk)
        step = _step_of(decrypt(held.data["secret"]), code)
        if step <= held.data.get("last_step", 0):
            raise get_adapter().validation_error("incorrect_code")
        held.data["last_step"] = step
        held.save(update_fields=["data"])


def _step_of(secret: str, code: str) -> int:
    """The time step of which this is the code; 0 when it is of none that is good now."""
    digits = "".join(letter for letter in code if letter.isalnum())
    steps = yield_hotp_counters_from_time()
    return next((step for step in steps if format_hotp_value(hotp_value(secret, step)) == digits), 0)


_NONSENSE = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError, struct.error)


@contextmanager
def _refusing_nonsense() -> Iterator[None]:
    """Whatever a browser did not send: the library tells some of it by errors of its own reading."""
    try:
        yield
    except _NONSENSE as error:
        raise get_adapter().validation_error("incorrect_code") from error


class _Credential(forms.JSONField):
    """What a browser says of a passkey; nonsense is refused, and never shown again."""

    def to_python(self, value: Any) -> Any:
        with _refusing_nonsense():
            credential = super().to_python(value)
            json.dumps(credential, ensure_ascii=False, allow_nan=False).encode()
            return credential

    def bound_data(self, data: Any, initial: Any) -> Any:
        return None

    def prepare_value(self, value: Any) -> str:
        return ""


class PasskeyForm(AddWebAuthnForm):
    credential = _Credential(required=True, widget=forms.HiddenInput)
    name = forms.CharField(label=_("Name"), max_length=60, required=False)

    def clean_credential(self) -> Any:
        credential = self.cleaned_data["credential"]
        # PostgreSQL's JSON knows no NUL.
        if not isinstance(credential, dict) or "\\u0000" in self.data.get("credential", ""):
            raise get_adapter().validation_error("incorrect_code")
        return credential

    def clean(self) -> dict[str, Any]:
        with _refusing_nonsense():
            cleaned: dict[str, Any] = super().clean()
            return cleaned


class _PasskeyUseMixin(forms.Form):
    credential = _Credential(required=True, widget=forms.HiddenInput)

    def clean_credential(self) -> Authenticator:
        with _refusing_nonsense():
            return super().clean_credential()  # type: ignore[misc]


class UsePasskeyForm(_PasskeyUseMixin, AuthenticateWebAuthnForm):
    pass


class UsePasskeyAgainForm(_PasskeyUseMixin, ReauthenticateWebAuthnForm):
    pass
