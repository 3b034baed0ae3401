"""What beat ticks: every task of ours, and nothing that is not there."""

from medtrack.celery import app


def test_beat_ticks_every_task_and_no_other() -> None:
    app.loader.import_default_modules()
    tasks = {name for name in app.tasks if not name.startswith("celery.")}
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} == tasks
