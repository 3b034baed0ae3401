"""The types of FCM's HTTP v1 request body: the fields of each message and the type of each field.

`fcm` checks what the values mean.
"""

import json
import re
from collections.abc import Callable

from medtrack.development.fcm.errors import Violation

Check = Callable[[object, str, list[Violation]], None]

_FCM = "type.googleapis.com/google.firebase.fcm.v1."
_DURATION = re.compile(r"-?\d{1,12}(\.\d{1,9})?s")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


def duration_seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def _mistyped(path: str, kind: str, value: object) -> Violation:
    return Violation(path, f"Invalid value at '{path}' ({kind}), {json.dumps(value, ensure_ascii=False)}")


def _unknown(path: str, name: str, reason: str = "Cannot find field.") -> Violation:
    where = f" at '{path}'" if path else ""
    return Violation(path, f'Invalid JSON payload received. Unknown name "{name}"{where}: {reason}')


def text(value: object, path: str, problems: list[Violation]) -> None:
    if not isinstance(value, str):
        problems.append(_mistyped(path, "TYPE_STRING", value))


def boolean(value: object, path: str, problems: list[Violation]) -> None:
    if not isinstance(value, bool) and value not in ("true", "false"):
        problems.append(_mistyped(path, "TYPE_BOOL", value))


def integer(value: object, path: str, problems: list[Violation]) -> None:
    is_digits = isinstance(value, str) and re.fullmatch(r"-?\d{1,10}", value)
    if (not isinstance(value, int) or isinstance(value, bool)) and not is_digits:
        problems.append(_mistyped(path, "TYPE_INT32", value))


def number(value: object, path: str, problems: list[Violation]) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        problems.append(_mistyped(path, "TYPE_FLOAT", value))


def struct(value: object, path: str, problems: list[Violation]) -> None:
    if not isinstance(value, dict):
        problems.append(_mistyped(path, "type.googleapis.com/google.protobuf.Struct", value))


def duration(value: object, path: str, problems: list[Violation]) -> None:
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        field = path.rpartition(".")[2]
        reason = f"Field '{field}', Illegal duration format; duration must end with 's'"
        kind = "type.googleapis.com/google.protobuf.Duration"
        problems.append(Violation(path, f"Invalid value at '{path}' ({kind}), {reason}"))


def timestamp(value: object, path: str, problems: list[Violation]) -> None:
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        problems.append(_mistyped(path, "type.googleapis.com/google.protobuf.Timestamp", value))


def strings(value: object, path: str, problems: list[Violation]) -> None:
    if not isinstance(value, dict):
        problems.append(_unknown(*_parent_and_name(path), "Proto field is not a map."))
        return
    for index, item in enumerate(value.values()):
        if not isinstance(item, str):
            problems.append(_mistyped(f"{path}[{index}].value", "TYPE_STRING", item))


def enumeration(kind: str, *names: str) -> Check:
    """Google's JSON parser accepts the names of enumerations in any case; firebase-admin sends "high"."""
    allowed = frozenset(names)

    def check(value: object, path: str, problems: list[Violation]) -> None:
        if not isinstance(value, str) or value.upper() not in allowed:
            problems.append(_mistyped(path, _FCM + kind, value))

    return check


def repeated(item: Check) -> Check:
    def check(value: object, path: str, problems: list[Violation]) -> None:
        for index, member in enumerate(value if isinstance(value, list) else [value]):
            item(member, f"{path}[{index}]", problems)

    return check


def record(kind: str, **fields: Check) -> Check:
    """The names may be in snake_case or camelCase. A field that is null counts as absent."""
    all_fields = fields | {_camel(name): check for name, check in fields.items()}

    def check(value: object, path: str, problems: list[Violation]) -> None:
        if isinstance(value, list) and path:
            reason = "Proto field is not repeating, cannot start list."
            problems.append(_unknown(*_parent_and_name(path), reason))
            return
        if not isinstance(value, dict):
            problems.append(_mistyped(path, _FCM + kind, value))
            return
        for name, item in value.items():
            if (field := all_fields.get(name)) is None:
                problems.append(_unknown(path, name))
            elif item is not None:
                field(item, f"{path}.{name}" if path else name, problems)

    return check


def _parent_and_name(path: str) -> tuple[str, str]:
    parent, _, name = path.rpartition(".")
    return parent, name


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


_COLOR = record("Color", red=number, green=number, blue=number, alpha=number)
_LIGHT_SETTINGS = record(
    "LightSettings", color=_COLOR, light_on_duration=duration, light_off_duration=duration
)
_ANDROID_NOTIFICATION = record(
    "AndroidNotification",
    title=text,
    body=text,
    icon=text,
    color=text,
    sound=text,
    tag=text,
    click_action=text,
    body_loc_key=text,
    body_loc_args=repeated(text),
    title_loc_key=text,
    title_loc_args=repeated(text),
    channel_id=text,
    ticker=text,
    sticky=boolean,
    event_time=timestamp,
    local_only=boolean,
    notification_priority=enumeration(
        "AndroidNotification.NotificationPriority",
        "PRIORITY_UNSPECIFIED",
        "PRIORITY_MIN",
        "PRIORITY_LOW",
        "PRIORITY_DEFAULT",
        "PRIORITY_HIGH",
        "PRIORITY_MAX",
    ),
    default_sound=boolean,
    default_vibrate_timings=boolean,
    default_light_settings=boolean,
    vibrate_timings=repeated(duration),
    visibility=enumeration(
        "AndroidNotification.Visibility", "VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"
    ),
    notification_count=integer,
    light_settings=_LIGHT_SETTINGS,
    image=text,
    bypass_proxy_notification=boolean,
    proxy=enumeration(
        "AndroidNotification.Proxy", "PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"
    ),
)
_LABEL = {"analytics_label": text}
_ANDROID = record(
    "AndroidConfig",
    collapse_key=text,
    priority=enumeration("AndroidMessagePriority", "NORMAL", "HIGH"),
    ttl=duration,
    restricted_package_name=text,
    data=strings,
    notification=_ANDROID_NOTIFICATION,
    fcm_options=record("AndroidFcmOptions", **_LABEL),
    direct_boot_ok=boolean,
    bandwidth_constrained_ok=boolean,
    restricted_satellite_ok=boolean,
)
_APNS = record(
    "ApnsConfig",
    headers=strings,
    payload=struct,
    fcm_options=record("ApnsFcmOptions", image=text, **_LABEL),
    live_activity_token=text,
)
_WEBPUSH = record(
    "WebpushConfig",
    headers=strings,
    data=strings,
    notification=struct,
    fcm_options=record("WebpushFcmOptions", link=text, **_LABEL),
)
_MESSAGE = record(
    "Message",
    name=text,
    data=strings,
    notification=record("Notification", title=text, body=text, image=text),
    android=_ANDROID,
    android_v2=struct,
    webpush=_WEBPUSH,
    apns=_APNS,
    fcm_options=record("FcmOptions", **_LABEL),
    token=text,
    fid=text,
    topic=text,
    condition=text,
)

SEND_REQUEST = record("SendMessageRequest", message=_MESSAGE, validate_only=boolean)
