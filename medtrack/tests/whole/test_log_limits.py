"""An error that a process repeats is logged once a minute, with a count."""

import json
import logging
import logging.config

import pytest
import structlog
from django.conf import settings

from medtrack.observability.log_limits import REMEMBERED, RepeatedErrors
from medtrack.observability.logs import logging_config


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(clock: Clock) -> "list[logging.LogRecord]":
    """The records of the logger `engine` that pass the filter."""
    records: list[logging.LogRecord] = []

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Recorder()
    handler.addFilter(RepeatedErrors(60, clock))
    logger = logging.getLogger("engine")
    logger.handlers, logger.propagate = [handler], False
    return records


def engine() -> logging.Logger:
    return logging.getLogger("engine")


def fail(error: Exception, message: str = "it failed", *arguments: object) -> None:
    try:
        raise error
    except type(error):
        engine().exception(message, *arguments)


def messages(lines: list[logging.LogRecord]) -> list[str]:
    return [line.getMessage() for line in lines]


def test_the_first_passes_at_once_and_the_next_after_a_minute_counts_the_others(
    clock: Clock, lines: list[logging.LogRecord]
) -> None:
    for second in range(0, 122, 2):
        clock.now = second
        fail(OSError("away"))
    assert messages(lines) == [
        "it failed",
        "it failed (and 29 more times since this was last logged)",
        "it failed (and 29 more times since this was last logged)",
    ]
    assert all(line.exc_info for line in lines)


def test_an_error_without_repeats_has_no_count(clock: Clock, lines: list[logging.LogRecord]) -> None:
    fail(OSError())
    clock.now = 61
    fail(OSError())
    assert messages(lines) == ["it failed", "it failed"]


def test_ids_and_numbers_do_not_make_another_error(lines: list[logging.LogRecord]) -> None:
    for number in range(3):
        fail(OSError(str(number)), "task %s failed after %s seconds", f"id-{number}", number)
        engine().warning(
            {"event": "away", "task_id": str(number), "seconds": number, "error": f"after {number} s"}
        )
    assert len(lines) == 2


@pytest.mark.parametrize(
    "other",
    [
        lambda: fail(ValueError("away")),
        lambda: fail(OSError("away"), "another sentence"),
        lambda: engine().warning("it failed"),
        lambda: logging.getLogger("engine").error({"event": "it failed"}),
    ],
)
def test_another_error_passes_at_once(lines: list[logging.LogRecord], other) -> None:
    fail(OSError("away"))
    other()
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"event": "failed"}, {"event": "lost"}),
        ({"event": "failed", "error": "OSError"}, {"event": "failed", "error": "ValueError"}),
        ({"event": "failed", "codes": {"UNAVAILABLE": 3}}, {"event": "failed", "codes": {"INTERNAL": 3}}),
        (
            {"event": "failed", "exception": 'File "a", line 1'},
            {"event": "failed", "exception": 'File "a", line 2'},
        ),
    ],
)
def test_events_with_other_words_are_other_errors(lines: list[logging.LogRecord], one, other) -> None:
    for event in (one, other, one, other):
        engine().error(dict(event))
    assert [line.msg for line in lines] == [one, other]


def test_the_same_error_of_two_tasks_is_two_errors(lines: list[logging.LogRecord]) -> None:
    for name in ("enqueue", "dispatch", "enqueue"):
        engine().error("Task %(name)s[%(id)s] failed", {"name": name, "id": "1"})
    assert messages(lines) == ["Task enqueue[1] failed", "Task dispatch[1] failed"]


def test_lines_below_warning_always_pass(lines: list[logging.LogRecord]) -> None:
    engine().setLevel(logging.INFO)
    for _ in range(3):
        engine().info("reminders dispatched")
    assert len(lines) == 3


def test_every_failed_request_is_logged() -> None:
    repeated_errors = RepeatedErrors()
    record = logging.makeLogRecord(
        {"name": "medtrack.observability.request_log", "levelno": logging.ERROR, "msg": "x"}
    )
    assert repeated_errors.filter(record)
    assert repeated_errors.filter(record)


def test_the_number_of_remembered_errors_is_limited(lines: list[logging.LogRecord]) -> None:
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(REMEMBERED + 1)]
    for word in [*words, words[0]]:
        engine().error(word)
    assert len(lines) == REMEMBERED + 2


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_lines_of_the_product_and_of_libraries_are_limited_on_stdout(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.config.dictConfig(logging_config(log_format))
    try:
        for _ in range(5):
            structlog.get_logger("product").error("nothing is sent", reason="Firebase is not configured")
            logging.getLogger("kombu").error("Cannot connect to %s", "redis")
    finally:
        logging.config.dictConfig(settings.LOGGING)
    written = capsys.readouterr().out
    assert written.count("nothing is sent") == written.count("Cannot connect") == 1


def test_a_structlog_event_has_the_number_of_repeats_as_a_value(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.config.dictConfig(logging_config("json"))
    (handler,) = logging.getLogger().handlers[-1:]
    handler.filters[:] = [RepeatedErrors(60, clock)]
    try:
        for second in (0, 10, 20, 70):
            clock.now = second
            structlog.get_logger("product").error("nothing is sent")
    finally:
        logging.config.dictConfig(settings.LOGGING)
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("repeats") for line in written] == [None, 2]
