"""The forms of the second factor. A code can be used once, in all processes together."""

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


class _SingleUseCodeMixin(forms.Form):
    """Stores the time step of a used code with the authenticator.

    Codes up to that step are rejected later.
    """

    code = forms.CharField(label=_("Code"), max_length=20, widget=forms.TextInput(attrs=CODE))
    authenticator: Authenticator

    def clean_code(self) -> str:
        code: str = super().clean_code()  # type: ignore[misc]
        if self.authenticator.type == Authenticator.Type.TOTP:
            mark_code_used(self.authenticator, code)
        return code


class CodeForm(_SingleUseCodeMixin, AuthenticateForm):
    pass


class CodeAgainForm(_SingleUseCodeMixin, ReauthenticateForm):
    pass


def mark_code_used(authenticator: Authenticator, code: str) -> None:
    """Raises ValidationError for a code whose time step, or a later one, was used already."""
    with transaction.atomic():
        # The row lock makes two requests with the same code take turns: the second finds its step used.
        locked = Authenticator.objects.select_for_update().get(pk=authenticator.pk)
        secret = decrypt(locked.data["secret"])
        # Apps show the code in two groups, and people copy the space between them.
        digits = "".join(letter for letter in code if letter.isalnum())
        steps = yield_hotp_counters_from_time()
        # 0 if the code is of no step that counts as current: then it is rejected, as a used one is.
        step = next((step for step in steps if format_hotp_value(hotp_value(secret, step)) == digits), 0)
        if step <= locked.data.get("last_step", 0):
            raise get_adapter().validation_error("incorrect_code")
        locked.data["last_step"] = step
        locked.save(update_fields=["data"])


_MALFORMED = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError, struct.error)


@contextmanager
def _rejecting_malformed_input() -> Iterator[None]:
    # The library raises these errors for credentials that no browser makes.
    try:
        yield
    except _MALFORMED as error:
        raise get_adapter().validation_error("incorrect_code") from error


class _Credential(forms.JSONField):
    """A passkey's credential as the browser sends it.

    A malformed one is rejected and never shown in the form.
    """

    def to_python(self, value: Any) -> Any:
        with _rejecting_malformed_input():
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
        # PostgreSQL's JSON cannot contain a NUL.
        if not isinstance(credential, dict) or "\\u0000" in self.data.get("credential", ""):
            raise get_adapter().validation_error("incorrect_code")
        return credential

    def clean(self) -> dict[str, Any]:
        with _rejecting_malformed_input():
            cleaned: dict[str, Any] = super().clean()
            return cleaned


class _PasskeyUseMixin(forms.Form):
    credential = _Credential(required=True, widget=forms.HiddenInput)

    def clean_credential(self) -> Authenticator:
        with _rejecting_malformed_input():
            return super().clean_credential()  # type: ignore[misc]


class UsePasskeyForm(_PasskeyUseMixin, AuthenticateWebAuthnForm):
    pass


class UsePasskeyAgainForm(_PasskeyUseMixin, ReauthenticateWebAuthnForm):
    pass
