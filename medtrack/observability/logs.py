"""Log lines on stdout: JSON for machines, one short line for a person. No health data belongs in either."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

_SHARED = [
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

# A value may have lines of its own, so only what follows an exception ends it.
_DETAIL = re.compile(r"DETAIL: .*?(?=\n\n(?:The above exception|During handling)|\Z)", re.DOTALL)
_NOISE = ("timestamp", "logger", "task_id", "ip", "user_agent")


def logging_config(log_format: str) -> dict[str, Any]:
    """The `LOGGING` setting for `console` or `json`."""
    renderers = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _without_row_values,
        *_renderers(log_format),
    ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": renderers,
                "foreign_pre_chain": _SHARED,
            }
        },
        "filters": {"repeated_errors": {"()": "medtrack.observability.log_limits.RepeatedErrors"}},
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "structured",
                "filters": ["repeated_errors"],
            }
        },
        "root": {"handlers": ["stdout"], "level": "INFO"},
        "loggers": {
            # In development Django would print its warnings a second time, past our formatter.
            "django": {"handlers": []},
            # Each of its warnings is about a request that has its line already.
            "django.request": {"level": "ERROR"},
            # As is every refusal of a foreign Host, which would bring its traceback.
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            # Every tick would otherwise be two lines; what a tick did is logged by the engine itself.
            "celery.app.trace": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "django_structlog.celery": {"level": "WARNING"},
        },
    }


def line_logger(name: str, log_format: str) -> Any:
    """For what is written with every request: past `logging`, whose way to stdout takes three times as long."""
    processors = [structlog.contextvars.merge_contextvars, *_SHARED[1:], *_renderers(log_format)]
    filtering = structlog.make_filtering_bound_logger(logging.INFO)
    return structlog.wrap_logger(_Stdout(), processors, filtering).bind(logger=name)


class _Stdout:
    def msg(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    debug = info = warning = error = critical = msg


def _renderers(log_format: str) -> list[Any]:
    if log_format == "json":
        return [structlog.processors.JSONRenderer(_json)]
    return [_without_noise, structlog.dev.ConsoleRenderer(colors=False, pad_event_to=24, pad_level=False)]


def _json(event: Any, **options: Any) -> str:
    return orjson.dumps(event, options.get("default")).decode()


def _without_row_values(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """PostgreSQL explains an error with the row that caused it, and that row is somebody's health.

    Celery writes an exception into the sentence itself, and a task's failure comes with it under another name.
    """
    for name, value in event.items():
        if isinstance(value, str) and "DETAIL: " in value:
            event[name] = _DETAIL.sub("DETAIL:  left out of the log", value)
    return event


def _without_noise(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A person in front of a terminal knows the time, and the process manager names the process."""
    for name in _NOISE:
        event.pop(name, None)
    return event
