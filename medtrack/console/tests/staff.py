"""Staff for tests: by role, signed in as far as a test wants them, with a software passkey if need be."""

import json
from hashlib import sha256
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

from medtrack.console.staff.actions import appoint_staff
from medtrack.tests.support.builders import PASSWORD, confirmed, person
from users.access_log import Actor
from users.models import User

# Who appoints and invites, where a test calls the action itself.
BY = Actor(staff_id=None, page="test")

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
LOGIN = "/admin/login/"
CODE = "/admin/login/code/"
SET_UP = "/admin/account/app/"
CODES = "/admin/account/recovery-codes/"
ROLES = ("support", "clinician", "operator")


def staff_member(name: str, *roles: str) -> User:
    return appoint_staff(email=confirmed(person(name).user).email or "", roles=roles or ("support",), by=BY)


def superuser(name: str = "Root") -> User:
    return User.objects.create_superuser(f"{name.lower()}@example.com", PASSWORD, name=name, language="en")


def without_a_role(name: str = "Newcomer") -> User:
    user = person(name).user
    User.objects.filter(pk=user.pk).update(is_staff=True)
    user.refresh_from_db()
    return user


def with_app(user: User) -> User:
    TOTP.activate(user, SECRET)
    return user


def code(secret: str = SECRET, *, steps_away: int = 0) -> str:
    now = list(yield_hotp_counters_from_time())[1]
    return str(format_hotp_value(hotp_value(secret, now + steps_away)))


def signed_in(user: User) -> Client:
    """By password alone, as where no second factor is required."""
    client = Client()
    client.force_login(user)
    return client


def say_password(client: Client, user: User, password: str = PASSWORD, **extra: Any) -> Any:
    return client.post(LOGIN, {"login": user.email, "password": password}, **extra)


class SoftwarePasskey:
    """What a phone or a security key does, without asking anybody."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = b"passkey-of-a-test"
        self.rp_id = origin.partition("://")[2].partition(":")[0]

    def register(self, options: dict[str, Any]) -> str:
        challenge = options["publicKey"]["challenge"]
        public = ES256.from_cryptography_key(self.key.public_key())
        credential = AttestedCredentialData.create(b"\0" * 16, self.id, public)
        flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.AT
        data = AuthenticatorData.create(sha256(self.rp_id.encode()).digest(), flags, 0, credential)
        said = CollectedClientData.create("webauthn.create", websafe_decode(challenge), self.origin)
        return self._answer(clientDataJSON=said, attestationObject=AttestationObject.create("none", data, {}))

    def sign(self, options: dict[str, Any]) -> str:
        challenge = options["publicKey"]["challenge"]
        flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV
        data = AuthenticatorData.create(sha256(self.rp_id.encode()).digest(), flags, 1)
        said = CollectedClientData.create("webauthn.get", websafe_decode(challenge), self.origin)
        signature = self.key.sign(data + said.hash, ec.ECDSA(hashes.SHA256()))
        return self._answer(clientDataJSON=said, authenticatorData=data, signature=signature)

    def _answer(self, **response: bytes) -> str:
        name = websafe_encode(self.id)
        parts = {part: websafe_encode(value) for part, value in response.items()}
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": parts})


def factors_of(user: User) -> list[str]:
    return sorted(Authenticator.objects.filter(user=user).values_list("type", flat=True))
