"""The Celery application and its beat schedule. Periodic tasks have no arguments: the rows are the queue."""

import logging.config
from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging
from django.conf import settings
from django.dispatch import receiver
from django_structlog.celery.signals import modify_context_before_task_publish
from django_structlog.celery.steps import DjangoStructLogInitStep

from medtrack.configuration.start import load_settings

load_settings()

app = Celery("medtrack")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)

# A task that waited longer than its period is dropped, because the next one does the same work. `expires`
# compares the clocks of two machines, so it is a minute at least: with a clock that is slow beat's tasks
# would all be dropped.
app.conf.beat_schedule = {
    name: {"task": task, "schedule": seconds, "options": {"expires": max(seconds, 60.0)}}
    for name, task, seconds in (
        ("plan doses", "dosing.tasks.plan_doses", 300.0),
        ("start and end trips", "dosing.tasks.start_and_end_trips", 60.0),
        ("settle doses", "dosing.tasks.settle_doses", 60.0),
        ("end pauses", "dosing.tasks.end_pauses", 60.0),
        ("enqueue reminders", "notifications.tasks.enqueue_reminders", 10.0),
        ("enqueue follow-ups", "notifications.tasks.enqueue_follow_ups", 30.0),
        ("dispatch reminders", "notifications.tasks.dispatch_reminders", 2.0),
        ("clear silent devices", "notifications.tasks.clear_silent_devices", 60.0),
        ("mark silent devices", "notifications.tasks.mark_silent_devices", 3600.0),
        ("sum up patients", "medtrack.console.tasks.refresh_summaries", 300.0),
    )
}
app.conf.beat_schedule |= {
    name: {"task": task, "schedule": crontab(hour="3", minute=minute), "options": {"expires": 3600.0}}
    for name, task, minute in (
        ("delete reminders of erased users", "notifications.tasks.delete_reminders_of_erased_users", "0"),
        ("check engine", "notifications.tasks.check_engine", "30"),
    )
}


@receiver(modify_context_before_task_publish)
def publish_only_the_request_id(context: dict[str, Any], **_: Any) -> None:
    """Keeps the user and the address of the log context out of the broker."""
    for name in set(context) - {"request_id"}:
        del context[name]


@setup_logging.connect
def use_django_logging(**_: Any) -> None:
    logging.config.dictConfig(settings.LOGGING)
