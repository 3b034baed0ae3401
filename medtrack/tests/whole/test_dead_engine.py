"""A product whose engine stands still says so: /metrics and the console learn it from processes that live."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from medtrack.tests.support.builders import PASSWORD
from medtrack.tests.support.running_product import RunningProduct, eventually

TOKEN = "0123456789abcdef"
ALARMS = """
from medtrack.database.clock import database_now
from medtrack.console.dashboard.page import dashboard
from users.models import User
viewer = User(is_active=True, is_staff=True, is_superuser=True, timezone="UTC", language="en")
for notice in dashboard(viewer=viewer, now=database_now()).notices:
    print(notice.level, notice.text)
"""
NOT_FIREBASE = {"FIREBASE_PROJECT_ID": "", "FIREBASE_CLIENT_EMAIL": "", "FIREBASE_PRIVATE_KEY": ""}
LATE = "alarm 1 dose has been due for"


@pytest.fixture
def product(tmp_path: Path) -> Iterator[RunningProduct]:
    with RunningProduct(tmp_path) as product:
        product.environment |= {"METRICS_TOKEN": TOKEN, "WEB_PROCESSES": "2"}
        product.open()
        yield product


def scrape(product: RunningProduct) -> dict[str, float]:
    request = Request(
        f"http://127.0.0.1:{product.port}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urlopen(request, timeout=20) as response:
        page = response.read().decode()
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def alarms(product: RunningProduct) -> str:
    return product.manage("shell", "--verbosity", "0", "-c", ALARMS).stdout.decode().replace("\xa0", " ")


def is_well(product: RunningProduct) -> bool:
    return len(product.rows("SELECT 1 FROM heartbeats")) == 3 and alarms(product) == ""


def dose_overdue(product: RunningProduct, name: str) -> None:
    """Of a person with a phone, planned through the API for the next hour, and then moved before now."""
    person = {"email": f"{name}@example.com", "password": PASSWORD, "timezone": "UTC", "language": "en"}
    access = product.api("POST", "auth/signup", person)["access"]
    product.api("POST", "devices", {"token": f"{name}-phone", "platform": "android"}, token=access)
    medication = product.api("POST", "medications", {"name": "Metformin"}, token=access)
    at = datetime.now(UTC) + timedelta(hours=1)
    path = f"medications/{medication['id']}/schedules"
    schedule = product.api("POST", path, {"scheduled_time": f"{at:%H:%M}"}, token=access)
    product.rows(
        "UPDATE dose_logs SET due_at = now() - interval '112 s', answer_by = now() + interval '3 hours' "
        "WHERE id = (SELECT id FROM dose_logs WHERE schedule_id = %s ORDER BY due_at LIMIT 1)",
        schedule["id"],
    )


def test_a_dead_engine_is_seen_and_makes_up_for_it_when_it_is_back(product: RunningProduct) -> None:
    running = {name: product.start(name) for name in ("worker", "mailer", "beat")}
    eventually(lambda: is_well(product))
    for number, dead in enumerate((["beat"], ["worker"], ["beat", "worker"])):
        for name in dead:
            product.kill(running[name])
        # A process that lives says so again before anybody looks.
        product.rows("UPDATE heartbeats SET at = at - interval '1 minute' WHERE process = ANY(%s)", dead)
        dose_overdue(product, f"person-{number}")

        said, found = alarms(product), scrape(product)
        assert LATE in said
        assert found["medtrack_doses_late"] == 1
        assert found["medtrack_oldest_late_dose_seconds"] >= 112
        for name in ("beat", "worker", "mailer"):
            assert (f"alarm {name} has been silent" in said) == (name in dead)
            assert (found[f"medtrack_heartbeat_age_seconds/{name}"] > 45) == (name in dead)
        assert product.answers("readyz")

        running |= {name: product.start(name) for name in dead}
        eventually(lambda: len(product.pushes()) > number)  # noqa: B023 - asked at once
        eventually(lambda: is_well(product))
        assert scrape(product)["medtrack_doses_late"] == 0


def test_without_firebase_one_line_says_so_and_reminders_wait(product: RunningProduct) -> None:
    product.start("beat")
    worker = product.start("worker", **NOT_FIREBASE)
    dose_overdue(product, "ana")
    failures = "SELECT seconds FROM task_runs WHERE task = 'notifications.tasks.dispatch_reminders' AND failed_at > %s"
    for _ in range(5):
        (now,) = product.rows("SELECT now() AS at")
        eventually(lambda: product.rows(failures, now["at"]))  # noqa: B023 - asked at once
    log = (product.directory / "worker.log").read_text()
    # One for each of the worker's two processes.
    assert 1 <= log.count("nothing is sent") <= 2
    assert "Firebase is not configured: set FIREBASE_PROJECT_ID" in log
    assert "Traceback" not in log
    assert "alarm Firebase is not set up" in alarms(product)
    assert scrape(product)["medtrack_task_failing/dispatch_reminders"] == 1

    eventually(lambda: product.rows("SELECT 1 FROM notification_logs WHERE status = 'queued'"))
    product.kill(worker)
    product.start("worker")
    eventually(product.pushes)
    eventually(lambda: "Firebase" not in alarms(product))


def test_the_web_processes_count_their_requests_together(product: RunningProduct) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(product.answers, ["api/schema/"] * 400))
        found = list(pool.map(scrape, [product] * 16))
    assert {each["medtrack_request_seconds_count/GET api/schema//2xx"] for each in found} == {
        found[0]["medtrack_request_seconds_count/GET api/schema//2xx"]
    }
    assert found[0]["medtrack_request_seconds_count/GET api/schema//2xx"] >= 400

    def both_are_counted() -> bool:
        # On a busy machine one process may have served all of the requests.
        product.answers("api/schema/")
        return sum(name.startswith("process_resident_memory_bytes/") for name in scrape(product)) == 2

    eventually(both_are_counted)
