"""Reports errors to Sentry when SENTRY_DSN is set: their place in the code, without data of users.

Only the listed fields are sent. The messages of exceptions are not, because PostgreSQL puts whole rows into
them.
"""

from typing import Any

import sentry_sdk

_EVENT = (
    "event_id",
    "timestamp",
    "level",
    "platform",
    "logger",
    "environment",
    "release",
    "sdk",
    "transaction",
)
_EXCEPTION = ("type", "module", "mechanism")
_FRAME = ("filename", "abs_path", "function", "module", "lineno", "in_app", "context_line")


def start(dsn: str) -> None:
    sentry_sdk.init(
        dsn=dsn,
        before_send=_remove_data,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        send_client_reports=False,
        auto_session_tracking=False,
    )


def _remove_data(event: Any, hint: dict[str, Any]) -> Any:
    reported = _pick(event, _EVENT)
    if "exception" in event:
        values = []
        for value in event["exception"]["values"]:
            # The frames without their local variables.
            frames = [_pick(frame, _FRAME) for frame in (value.get("stacktrace") or {}).get("frames", ())]
            values.append(_pick(value, _EXCEPTION) | {"stacktrace": {"frames": frames}})
        reported["exception"] = {"values": values}
    if "request" in event:
        reported["request"] = {"method": event["request"].get("method")}
    if record := hint.get("log_record"):
        # structlog passes a dict with the event's name, other libraries a template: neither contains the
        # values.
        message = record.msg
        reported["logentry"] = {
            "message": message.get("event") if isinstance(message, dict) else str(message)
        }
    return reported


def _pick(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}
