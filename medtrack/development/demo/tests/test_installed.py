"""The demo is installed, routed and has its commands only with DEBUG=true."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.test import Client

ROOT = Path(__file__).resolve().parents[4]
COMMANDS = {"create_demo", "demo_reminder"}
DESCRIBE = """
import json, django
django.setup()
from django.apps import apps
from django.core.management import get_commands
from django.urls import Resolver404, resolve
try:
    view = resolve("/demo/phone/").func.__module__
except Resolver404:
    view = None
print(json.dumps([apps.is_installed("medtrack.development.demo"), view, sorted(get_commands())]))
"""


@pytest.mark.parametrize("debug", ["true", "false"])
def test_debug_decides_whether_the_demo_is_installed(debug: str) -> None:
    environment = os.environ | {"DEBUG": debug, "DJANGO_SETTINGS_MODULE": "medtrack.settings"}
    command = [sys.executable, "-c", DESCRIBE]
    output = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True).stdout
    is_installed, view, commands = json.loads(output)
    if debug == "true":
        assert is_installed
        assert view == "medtrack.development.demo.views"
        assert set(commands) >= COMMANDS
    else:
        assert not is_installed
        assert view is None
        assert COMMANDS.isdisjoint(commands)


def test_the_demo_phone_is_not_found_in_production(client: Client) -> None:
    answer = client.get("/demo/phone/")
    assert not apps.is_installed("medtrack.development.demo")
    assert (answer.status_code, answer.json()["type"]) == (404, "NotFound")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_demo_commands_are_unknown_in_production(command: str) -> None:
    with pytest.raises(CommandError, match=f"Unknown command: '{command}'"):
        call_command(command)
