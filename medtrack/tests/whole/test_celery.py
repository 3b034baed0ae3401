"""What beat ticks, and what requests queue: every task of ours, and nothing that is not there."""

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


def test_beat_ticks_every_task_but_the_mails_that_people_ask_for() -> None:
    app.loader.import_default_modules()
    tasks = {name for name in app.tasks if not name.startswith("celery.")}
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} == tasks - MAILS
    assert tasks >= MAILS


def test_what_may_wait_waits_in_queues_of_its_own() -> None:
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


def test_every_task_that_beat_ticks_has_words_and_a_limit() -> None:
    ticked = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert set(TASKS) == set(OVERDUE_AFTER) == ticked
