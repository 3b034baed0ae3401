"""The Celery application and its beat schedule. Ticks carry no arguments: the rows are the queue."""

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
app.autodiscover_tasks(["medtrack.api"])  # which is no Django app
app.steps["worker"].add(DjangoStructLogInitStep)

# Ticks that waited long are worthless, the next one does the same work. But a tick's age is told by two machines'
# clocks, so a minute is allowed, lest a beat that is a little behind has all its ticks thrown away.
app.conf.beat_schedule = {
    name: {"task": task, "schedule": seconds, "options": {"expires": max(seconds, 60.0)}}
    for name, task, seconds in (
        ("plan doses", "dosing.tasks.plan_doses", 300.0),
        ("settle doses", "dosing.tasks.settle_doses", 60.0),
        ("enqueue reminders", "notifications.tasks.enqueue_reminders", 10.0),
        ("enqueue follow-ups", "notifications.tasks.enqueue_follow_ups", 30.0),
        ("dispatch reminders", "notifications.tasks.dispatch_reminders", 2.0),
        ("clear silent devices", "notifications.tasks.clear_silent_devices", 60.0),
        ("mark silent devices", "notifications.tasks.mark_silent_devices", 3600.0),
        ("sum up patients", "medtrack.console.tasks.refresh_summaries", 300.0),
    )
}
app.conf.beat_schedule |= {
    name: {"task": task, "schedule": at, "options": {"expires": 3600.0}}
    for name, task, at in (
        ("sweep erased users", "medtrack.api.tasks.sweep_erased", crontab(hour="3", minute="15")),
        ("check engine", "notifications.tasks.check_engine", crontab(hour="3", minute="30")),
    )
}


@receiver(modify_context_before_task_publish)
def tell_the_broker_no_more_than_the_request(context: dict[str, Any], **_: Any) -> None:
    """Who asked, and from which address, stays with us."""
    for name in set(context) - {"request_id"}:
        del context[name]


@setup_logging.connect
def use_django_logging(**_: Any) -> None:
    logging.config.dictConfig(settings.LOGGING)
