"""Checks the body of a messages:send request as FCM does, and refuses it with FCM's error messages.

Pure. The caller's access token and the armed faults are not its concern.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from medtrack.development.fcm import errors, schema
from medtrack.development.fcm.errors import Violation
from medtrack.development.fcm.exchanges import Answer

Message = Mapping[str, Any]

MAX_PAYLOAD_BYTES = 4096
MAX_TOPIC_PAYLOAD_BYTES = 2048
MAX_TTL_SECONDS = 2_419_200
MAX_TOKEN_LENGTH = 4096
MAX_COLLAPSE_ID_BYTES = 64

_RESERVED_KEYS = ("from", "message_type", "gcm")
_RESERVED_PREFIXES = ("google.", "gcm.")
_TARGETS = ("token", "fid", "topic", "condition")
_TOPIC = re.compile(r"(/topics/)?[a-zA-Z0-9\-_.~%]{1,900}")
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODE = json.JSONDecoder(parse_constant=_refuse_constant).decode


@dataclass(slots=True, frozen=True)
class Submission:
    """A request body as FCM reads it. `text` is the message as JSON, or `null` when it cannot be read."""

    message: Message
    text: bytes
    validate_only: bool
    refusal: Answer | None

    @property
    def device(self) -> str | None:
        device = self.message.get("token") or self.message.get("fid")
        return device if isinstance(device, str) else None


def read(body: bytes) -> Submission:
    try:
        content = _DECODE(body.decode())
        message = content.get("message") if isinstance(content, dict) else None
        # JSON can contain half a surrogate pair, which UTF-8 cannot encode: encoding raises ValueError for
        # it.
        text = _ENCODE(message if isinstance(message, dict) else None).encode()
    except (ValueError, RecursionError):
        refusal = errors.unreadable([Violation("", "Invalid JSON payload received. Unexpected token.")])
        return Submission({}, b"null", False, refusal)
    if not isinstance(content, dict):
        reason = 'Invalid JSON payload received. Unknown name "": Root element must be a message.'
        return Submission({}, b"null", False, errors.unreadable([Violation("", reason)]))
    readable = message if isinstance(message, dict) else {}
    validate_only = content.get("validate_only", content.get("validateOnly")) in (True, "true")
    return Submission(readable, text, validate_only, _refusal(content, len(body)))


def _refusal(content: Message, body_bytes: int) -> Answer | None:
    problems: list[Violation] = []
    schema.SEND_REQUEST(content, "", problems)
    if problems:
        return errors.unreadable(problems)
    message = content.get("message")
    if not message:
        return errors.invalid_argument(Violation("message", "The message is not set."))
    for rule in _RULES:
        if refusal := rule(message):
            return refusal
    # A small body needs no check: its keys and values cannot be larger than it.
    return check_size(message) if body_bytes > MAX_TOPIC_PAYLOAD_BYTES else None


def check_target(message: Message) -> Answer | None:
    # Exactly one target is allowed.
    targets = [name for name in _TARGETS if message.get(name) is not None]
    if len(targets) == 1:
        return None
    if not targets:
        return errors.invalid_argument(Violation("message", "Recipient of the message is not set."))
    reason = (
        f"Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set '{targets[1]}'"
    )
    return errors.unreadable([Violation("message", reason)])


def check_topic(message: Message) -> Answer | None:
    topic, condition = message.get("topic"), message.get("condition")
    if topic is not None and not _TOPIC.fullmatch(topic):
        return errors.invalid_argument(Violation("message.topic", f"Invalid topic name: {topic}"))
    if condition is not None and not condition.strip():
        return errors.invalid_argument(
            Violation("message.condition", "Invalid condition expression provided.")
        )
    return None


def check_data(message: Message) -> Answer | None:
    # Firebase reserves these keys in the common data and in the data for Android.
    for path, holder in (("message", message), ("message.android", message.get("android") or {})):
        for key in holder.get("data") or ():
            if key in _RESERVED_KEYS or key.startswith(_RESERVED_PREFIXES):
                return errors.invalid_argument(Violation(f"{path}.data", f"Invalid data payload key: {key}"))
    return None


def check_ttl(message: Message) -> Answer | None:
    ttl = (message.get("android") or {}).get("ttl")
    if ttl is None or 0 <= schema.duration_seconds(ttl) <= MAX_TTL_SECONDS:
        return None
    reason = f"Invalid time to live: {ttl}. It must be between 0 and {MAX_TTL_SECONDS} seconds."
    return errors.invalid_argument(Violation("message.android.ttl", reason))


def check_apns_headers(message: Message) -> Answer | None:
    headers = (message.get("apns") or {}).get("headers") or {}
    for name, (is_good, reason) in _APNS_HEADERS.items():
        if name in headers and not is_good(headers[name]):
            violation = Violation(f"message.apns.headers.{name}", f"Invalid {name}: {headers[name]}")
            return errors.invalid_argument(violation, errors.apns_error(reason))
    return None


_APNS_HEADERS: dict[str, tuple[Callable[[str], object], str]] = {
    "apns-collapse-id": (lambda value: len(value.encode()) <= MAX_COLLAPSE_ID_BYTES, "BadCollapseId"),
    "apns-expiration": (re.compile(r"\d{1,12}").fullmatch, "BadExpirationDate"),
    "apns-priority": (("1", "5", "10").__contains__, "BadPriority"),
}


def check_device(message: Message) -> Answer | None:
    # `fid`, a Firebase installation id, replaces the registration token in newer clients.
    field = "token" if message.get("token") is not None else "fid"
    device = message.get(field)
    if device is None:
        return None
    if not 0 < len(device) <= MAX_TOKEN_LENGTH or device.startswith("invalid-"):
        return errors.invalid_argument(Violation(f"message.{field}", errors.INVALID_TOKEN))
    for prefix, refusal in _REFUSED_DEVICES.items():
        if device.startswith(prefix):
            return refusal()
    return None


# Tests choose FCM's answer by the start of the token.
_REFUSED_DEVICES = {
    "unregistered-": errors.unregistered,
    "sender-mismatch-": errors.sender_mismatch,
    "malformed-": errors.malformed_token,
}

_RULES = (check_target, check_topic, check_data, check_ttl, check_apns_headers, check_device)


def check_size(message: Message) -> Answer | None:
    is_topic = message.get("topic") is not None or message.get("condition") is not None
    limit = MAX_TOPIC_PAYLOAD_BYTES if is_topic else MAX_PAYLOAD_BYTES
    data, notification = message.get("data") or {}, message.get("notification") or {}
    android, apns = message.get("android") or {}, message.get("apns") or {}
    webpush = message.get("webpush") or {}
    # What each platform receives: its own data and notification replace the common ones, on Android by field.
    payloads = {
        "Android": (android.get("data") or data, {**notification, **(android.get("notification") or {})}),
        "APNs": (data, apns.get("payload") or notification),
        "Web push": (webpush.get("data") or data, webpush.get("notification") or notification),
    }
    for platform, parts in payloads.items():
        if sum(map(_bytes, parts)) > limit:
            return errors.invalid_argument(Violation("message", f"{platform} message is too big"))
    return None


def _bytes(value: object) -> int:
    """Returns the size of the keys and values in UTF-8, without the JSON around them."""
    if isinstance(value, Mapping):
        return sum(len(key.encode()) + _bytes(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(map(_bytes, value))
    return len(str(value).encode())
