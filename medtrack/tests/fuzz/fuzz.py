"""Sends random requests to a real web process: schemathesis makes them from the committed schema."""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import django

django.setup()

from medtrack.api.documentation import SCHEMA_FILE  # noqa: E402
from medtrack.tests.support.running_product import RunningProduct  # noqa: E402

CONFIG = Path(__file__).with_name("schemathesis.toml")
SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
ROUND_SECONDS = 300  # an access token lives ten minutes
PERSON = {"password": "seven quiet rivers", "timezone": "Europe/Berlin"}
# They would end the session that everything else needs.
ENDING = ("logOut", "endSession", "deleteMe")


def fuzz(product: RunningProduct, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs schemathesis, signed in as a new user; its output is in fuzz.log in the product's directory."""
    access = new_user(product)
    command = [
        *(str(SCHEMATHESIS), "--config-file", str(CONFIG), "run", str(SCHEMA_FILE)),
        *("--url", f"http://127.0.0.1:{product.port}"),
        *(f"--exclude-operation-id={id}" for id in ENDING),
        *("--header", f"Authorization: Bearer {access}"),
        *("--suppress-health-check", "all", "--no-color", "--continue-on-failure", "--warnings", "off"),
        *arguments,
    ]
    done = subprocess.run(
        command, cwd=product.directory, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    (product.directory / "fuzz.log").write_text(re.sub(re.escape(access), "ACCESS", done.stdout))
    return done


def new_user(product: RunningProduct) -> str:
    """The access token of a new person with doses today."""
    person = PERSON | {"email": f"{uuid4()}@example.com"}
    access = str(product.api("POST", "auth/signup", person)["access"])
    medication = product.api("POST", "medications", {"name": "Metformin"}, token=access)
    for minute in range(50, 60):
        schedule = {"scheduled_time": f"23:{minute}"}
        product.api("POST", f"medications/{medication['id']}/schedules", schedule, token=access)
    return access


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    deadline, failed = time.monotonic() + options.minutes * 60, False
    with tempfile.TemporaryDirectory() as directory, RunningProduct(Path(directory)) as product:
        product.open()
        for seed in range(options.seed, options.seed + 10_000):
            left = int(deadline - time.monotonic())
            if left < 1 or failed:
                break
            seconds = max(min(left, ROUND_SECONDS), 10)
            done = fuzz(product, "--seed", str(seed), "--max-time", str(seconds))
            sys.stdout.write(done.stdout)
            failed = done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
