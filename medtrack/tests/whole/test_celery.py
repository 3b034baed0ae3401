"""The tasks that beat and requests queue: each one exists, has a queue, and none is missing."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from celery import current_app
from honcho.environ import parse_procfile

from medtrack.celery import app
from medtrack.console.dashboard.engine_cards import TASKS
from notifications.engine_state import OVERDUE_AFTER

ROOT = Path(__file__).resolve().parents[3]


MAILS = {
    "users.tasks.send_password_link",
    "users.tasks.send_email_link",
    "medtrack.console.tasks.send_invitation",
}
SUMS = {"medtrack.console.tasks.refresh_summaries"}


def test_beat_starts_every_task_except_mails() -> None:
    app.loader.import_default_modules()
    tasks = {name for name in app.tasks if not name.startswith("celery.")}
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} == tasks - MAILS
    assert tasks >= MAILS


def test_tasks_that_may_wait_have_their_own_queues() -> None:
    def queue(task: str) -> str:
        return str(app.amqp.router.route({}, task)["queue"].name)

    ticked = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert {queue(task) for task in MAILS} == {"mail"}
    assert {queue(task) for task in ticked - SUMS} == {"celery"}
    assert {queue(task) for task in SUMS} == {"console"}


def test_every_thread_of_a_web_process_queues_with_our_application() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: str(current_app.main)).result() == "medtrack"


def test_every_queue_has_its_process() -> None:
    processes: dict[str, str] = parse_procfile((ROOT / "Procfile").read_text()).processes
    assert "--queues" not in processes["worker"]
    assert "--queues mail,console " in processes["mailer"]


def test_every_periodic_task_has_a_description_and_a_limit() -> None:
    ticked = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert set(TASKS) == set(OVERDUE_AFTER) == ticked
