import json
import logging.config

import pytest
import structlog
from django.conf import settings
from django.db import IntegrityError, transaction

from medications.models import Medication
from medtrack.observability.logs import logging_config
from medtrack.tests.support.builders import medication_of
from users.actions import Credentials


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_error_of_the_database_is_logged_without_the_row(
    ana: Credentials, log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    medication_of(ana.user, "Canary", memo="a line\nCanary\n\nCanary")
    logging.config.dictConfig(logging_config(log_format))
    try:
        for log in (structlog.get_logger("ours"), logging.getLogger("django.request")):
            try:
                with transaction.atomic():
                    Medication.objects.update(color_tag="green")
            except IntegrityError as error:
                log.exception("broken")
                for message in (f"Task failed: {error!r}", f"Task failed: {error}"):
                    log.error(message)
    finally:
        logging.config.dictConfig(settings.LOGGING)
    written = capsys.readouterr().out
    assert written.count("medications_color_tag_is_hex") >= 2
    assert "Canary" not in written


def test_a_json_line_has_its_time_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(logging_config("json"))
    try:
        structlog.get_logger("ours").info("doses planned", doses=3)
    finally:
        logging.config.dictConfig(settings.LOGGING)
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["level"], line["logger"], line["doses"]) == (
        "doses planned",
        "info",
        "ours",
        3,
    )
    assert line["timestamp"].endswith("Z")
