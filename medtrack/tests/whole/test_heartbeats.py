from datetime import timedelta

import pytest
from celery.beat import Service
from celery.signals import after_task_publish, beat_init, heartbeat_sent
from django.db.utils import OperationalError
from django.utils import timezone

from medtrack.celery import app
from notifications import heartbeats
from notifications.heartbeats import Pulse
from notifications.models import Heartbeat


@pytest.fixture(autouse=True)
def _fresh_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "_pulse", Pulse())
    # The test's transaction needs this connection.
    monkeypatch.setattr(heartbeats, "close_old_connections", lambda: None)


def recorded_processes() -> set[str]:
    return set(Heartbeat.objects.values_list("process", flat=True))


def test_a_heartbeat_replaces_the_one_before(db: None) -> None:
    Pulse().beat(["worker", "mailer"])
    Heartbeat.objects.filter(process="worker").update(at=timezone.now() - timedelta(hours=1))
    Pulse().beat(["worker"])
    assert recorded_processes() == {"worker", "mailer"}
    assert timezone.now() - Heartbeat.objects.get(process="worker").at < timedelta(minutes=1)


def test_a_pulse_writes_no_more_often_than_necessary(db: None) -> None:
    pulse = Pulse()
    pulse.beat(["worker"])
    Heartbeat.objects.all().delete()
    pulse.beat(["worker"])
    assert recorded_processes() == set()


def test_beat_and_workers_continue_without_the_database(
    db: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(process: str) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(heartbeats, "record_heartbeat", away)
    Pulse().beat(["worker"])
    assert "no sign of life was recorded" in caplog.text


@pytest.mark.parametrize(
    ("queues", "processes"),
    [(["celery"], {"worker"}), (["mail"], {"mailer"}), (["celery", "mail"], {"worker", "mailer"})],
)
def test_the_queues_of_a_worker_decide_which_process_it_is(
    db: None, queues: list[str], processes: set[str]
) -> None:
    app.amqp.queues.select(queues)
    try:
        heartbeat_sent.send(sender=None)
    finally:
        app.amqp.queues = app.amqp.Queues(app.conf.task_queues)
    assert recorded_processes() == processes


def test_only_beat_writes_the_heartbeat_of_beat(db: None) -> None:
    after_task_publish.send(sender="a request that queues a mail", headers={}, body={}, routing_key="mail")
    assert recorded_processes() == set()
    beat_init.send(sender=Service(app))
    try:
        after_task_publish.send(sender="a tick", headers={}, body={}, routing_key="celery")
    finally:
        after_task_publish.disconnect(heartbeats.a_tick_was_taken)
    assert recorded_processes() == {"beat"}
