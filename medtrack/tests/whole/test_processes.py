"""What each kind of process imports, as a real process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medtrack.tests.support.house import ROOT, eventually

SHELL = """
import sys
from users.tasks import send_email_link
app = send_email_link.app
print(app.main, app.conf.broker_url, app.amqp.router.route({}, send_email_link.name)["queue"].name)
print("medtrack.urls" in sys.modules)
"""


def imported_modules(errors: str) -> set[str]:
    """Returns the modules in the output that PYTHONPROFILEIMPORTTIME makes Python print."""
    lines = [line for line in errors.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_the_shell_queues_tasks_with_the_products_celery_application() -> None:
    environ = os.environ | {"REDIS_URL": "redis://broker.invalid:6379/5"}
    command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", SHELL]
    output = subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True).stdout
    assert output.splitlines() == ["medtrack redis://broker.invalid:6379/5 mail", "False"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["medtrack.web", "check"], 1),  # no web process answers
        (["medtrack.development.services", "run", "--", "true"], 0),
    ],
)
def test_the_web_launcher_and_the_embedded_services_do_not_import_django(
    arguments: list[str], status: int, tmp_path: Path
) -> None:
    environ = os.environ | {"PYTHONPROFILEIMPORTTIME": "1", "MEDTRACK_VAR": str(tmp_path)}
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environ, check=False, capture_output=True, text=True)
    modules = imported_modules(done.stderr)
    assert done.returncode == status
    assert "argparse" in modules or "asyncio" in modules
    assert "django" not in modules


def test_the_fcm_stand_in_does_not_import_django(tmp_path: Path) -> None:
    environ = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    command = [sys.executable, "-m", "medtrack.development.fcm", "--directory", str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            eventually((tmp_path / "endpoint").exists)
        finally:
            process.terminate()
        _, errors = process.communicate()
    modules = imported_modules(errors)
    assert "h2.connection" in modules
    assert "django" not in modules
