"""Google's OAuth 2 token endpoint for service accounts, and the access tokens that it issues.

The tokens are signed and not stored, so they stay valid over a restart.
"""

import base64
import hmac
import time
from urllib.parse import parse_qs

import jwt

from medtrack.development.fcm.exchanges import Answer
from medtrack.development.fcm.identity import ServerIdentity

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME_SECONDS = 3599

# google-auth signs this audience, also when the service account names another token_uri.
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"

_PREFIX = "ya29.c."
_TOKEN_LENGTH = 1024
_CLOCK_SKEW_SECONDS = 10
_SCOPES = {
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
}
_NOT_SHORT_LIVED = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


class GrantError(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


def exchange(body: bytes, identity: ServerIdentity, *, audience: str) -> Answer:
    try:
        check_grant(body, identity, audience=audience)
    except GrantError as refusal:
        return Answer.of(400, {"error": refusal.error, "error_description": refusal.description})
    token = issue(identity, now=time.time())
    return Answer.of(200, {"access_token": token, "expires_in": LIFETIME_SECONDS, "token_type": "Bearer"})


def check_grant(body: bytes, identity: ServerIdentity, *, audience: str) -> None:
    form = parse_qs(body.decode("utf-8", "replace"))
    grant_type = form.get("grant_type", [""])[0]
    if grant_type != GRANT_TYPE:
        raise GrantError("unsupported_grant_type", f"Invalid grant_type: {grant_type}")
    if "assertion" not in form:
        raise GrantError("invalid_request", "Missing required parameter: assertion")
    claims = _claims(form["assertion"][0], identity, audience)
    if not _SCOPES.intersection(str(claims.get("scope", "")).split()):
        raise GrantError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")


def _claims(assertion: str, identity: ServerIdentity, audience: str) -> dict[str, object]:
    try:
        claims: dict[str, object] = jwt.decode(
            assertion,
            identity.public_key,
            algorithms=["RS256"],
            audience=[audience, GOOGLE_AUDIENCE],
            issuer=identity.client_email,
            leeway=_CLOCK_SKEW_SECONDS,
            options={"require": ["iss", "aud", "iat", "exp"]},
        )
    except jwt.InvalidTokenError as problem:
        raise GrantError("invalid_grant", _description(problem, audience)) from problem
    # Google issues tokens only for assertions that are valid for an hour at most.
    if int(str(claims["exp"])) - int(str(claims["iat"])) > 3600 + _CLOCK_SKEW_SECONDS:
        raise GrantError("invalid_grant", _NOT_SHORT_LIVED)
    return claims


def _description(problem: jwt.InvalidTokenError, audience: str) -> str:
    match problem:
        case jwt.InvalidAudienceError():
            return f"Invalid JWT: Failed audience check. The right audience is {audience}"
        case jwt.InvalidIssuerError():
            return "Invalid grant: account not found"
        case jwt.ExpiredSignatureError() | jwt.ImmatureSignatureError() | jwt.InvalidIssuedAtError():
            return _NOT_SHORT_LIVED
        case jwt.MissingRequiredClaimError():
            return f"Invalid JWT: {problem}"
        case _:
            return "Invalid JWT Signature."


def issue(identity: ServerIdentity, *, now: float) -> str:
    """Returns a token as long as Google's, about 1 kB, because its length affects every request."""
    payload = f"{int(now) + LIFETIME_SECONDS}"
    token = f"{_PREFIX}{payload}.{_signature(payload, identity)}"
    return token.ljust(_TOKEN_LENGTH, ".")


def is_valid(token: str, identity: ServerIdentity, *, now: float) -> bool:
    expires_at, _, signature = token.removeprefix(_PREFIX).rstrip(".").partition(".")
    # In constant time; the expiry of a forged token may be no number, so the signature is checked first.
    is_genuine = hmac.compare_digest(signature.encode(), _signature(expires_at, identity).encode())
    return is_genuine and int(expires_at) > now


def _signature(payload: str, identity: ServerIdentity) -> str:
    digest = hmac.digest(identity.token_secret, payload.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
