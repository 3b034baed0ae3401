"""Starts the FCM stand-in for `serve`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from medtrack.development.services.console import Console
from medtrack.development.services.processes import Supervisor

START_SECONDS = 20


def start(
    supervisor: Supervisor, console: Console, folder: Path, *, project: Path, environ: Mapping[str, str]
) -> dict[str, str]:
    """Returns the settings with which the product sends its pushes to the stand-in."""
    endpoint = folder / "endpoint"
    # The stand-in writes this file when it listens; an old one is of a killed run.
    endpoint.unlink(missing_ok=True)
    child = supervisor.group().start(
        "fcm",
        [sys.executable, "-m", "medtrack.development.fcm", "--directory", str(folder), "--port", "0"],
        env=environ,
        folder=project,
    )
    console.relay(child)
    supervisor.wait_until(
        endpoint.exists, seconds=START_SECONDS, otherwise="The FCM stand-in did not start to listen"
    )
    account = json.loads((folder / "service-account.json").read_text())
    return {
        "FIREBASE_PROJECT_ID": account["project_id"],
        "FIREBASE_CLIENT_EMAIL": account["client_email"],
        "FIREBASE_PRIVATE_KEY": account["private_key"],
        "FIREBASE_TOKEN_URI": account["token_uri"],
        "FCM_ENDPOINT": endpoint.read_text().strip(),
        "FCM_CA_FILE": str(folder / "certificate.pem"),
        "FCM_BROWSER_URL": (folder / "browser-endpoint").read_text().strip(),
    }
