"""Log lines on stdout, as JSON or as short text. Neither may contain health data."""

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

# The values may contain line breaks, so the text ends only where Python introduces the next exception.
_DETAIL = re.compile(r"DETAIL: .*?(?=\n\n(?:The above exception|During handling)|\Z)", re.DOTALL)
# On a terminal the process manager prints the time and the process.
_NOISE = ("timestamp", "logger", "task_id", "ip", "user_agent")


def logging_config(log_format: str) -> dict[str, Any]:
    """Returns Django's LOGGING setting. `log_format` is `console` or `json`."""
    renderers = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _remove_row_values,
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
            # In development Django would print its warnings a second time, with its own handler.
            "django": {"handlers": []},
            # Its warnings are about requests, which medtrack.observability.request_log logs.
            "django.request": {"level": "ERROR"},
            # So are its errors about unknown hosts, which would come with a traceback.
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            # They log two lines for every task, every few seconds. The engine logs what its tasks did.
            "celery.app.trace": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "django_structlog.celery": {"level": "WARNING"},
        },
    }


def configure_structlog() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def line_logger(name: str, log_format: str) -> Any:
    """Returns a logger for the line of every request. It bypasses `logging`, which is three times slower."""
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
        return [
            structlog.processors.JSONRenderer(
                lambda event, **options: orjson.dumps(event, options["default"]).decode()
            )
        ]
    return [_remove_noise, structlog.dev.ConsoleRenderer(colors=False, pad_event_to=24, pad_level=False)]


def _remove_row_values(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    # PostgreSQL adds the row that caused an error to its message, and rows contain health data. All values
    # are searched, because Celery puts exceptions into the event and under names of its own.
    for name, value in event.items():
        if isinstance(value, str) and "DETAIL: " in value:
            event[name] = _DETAIL.sub("DETAIL:  removed from the log", value)
    return event


def _remove_noise(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in _NOISE:
        event.pop(name, None)
    return event
