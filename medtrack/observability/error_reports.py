"""Errors as Sentry sees them, when SENTRY_DSN is set: where in our code, and nothing that anybody said.

What may pass is listed; messages of exceptions are not, because PostgreSQL puts whole rows into them.
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
        before_send=_without_what_was_said,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        send_client_reports=False,
        auto_session_tracking=False,
    )


def _without_what_was_said(event: Any, hint: dict[str, Any]) -> Any:
    kept = _only(event, _EVENT)
    if "exception" in event:
        kept["exception"] = {"values": [_exception(value) for value in event["exception"]["values"]]}
    if "request" in event:
        kept["request"] = {"method": event["request"].get("method")}
    if record := hint.get("log_record"):
        # Ours are events with values, other people's are templates with values: in both the words are enough.
        said = record.msg
        kept["logentry"] = {"message": said.get("event") if isinstance(said, dict) else str(said)}
    return kept


def _exception(value: dict[str, Any]) -> dict[str, Any]:
    frames = (value.get("stacktrace") or {}).get("frames", ())
    return _only(value, _EXCEPTION) | {"stacktrace": {"frames": [_only(frame, _FRAME) for frame in frames]}}


def _only(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}
