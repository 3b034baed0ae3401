"""Dispatchers that die or stop at a bad moment, and dispatchers in each other's way."""

import random
import time

from medtrack.tests.faults.registry import fault
from medtrack.tests.faults.stage import Stage, resume
from medtrack.tests.support.running_product import eventually

BEFORE_FCM = ("before_claim", "after_claim", "before_send")
AFTER_FCM = ("after_send", "before_mark")
STILL_TO_COME = "SELECT 1 FROM dose_logs WHERE due_at BETWEEN now() AND now() + interval '1 min' LIMIT 1"
LEASES_HELD = "SELECT id, lease_token FROM notification_logs WHERE lease_token IS NOT NULL ORDER BY id"


def _killed_at(stage: Stage, fail_point: str) -> None:
    stage.people()
    stage.make_due()
    dispatcher = stage.dispatcher(fail_point=fail_point)
    eventually(lambda: dispatcher.poll() is not None)
    stage.dies(dispatcher)
    accepted = len(stage.accepted())
    assert fail_point not in BEFORE_FCM or accepted == 0, "FCM was asked too early"
    assert fail_point not in AFTER_FCM or stage.may_repeat, "FCM was asked too late"
    assert fail_point != "after_mark" or len(stage.may_repeat) < accepted, "nothing was marked"


for _name in (*BEFORE_FCM, *AFTER_FCM, "after_mark"):
    fault(f"SIGKILL {_name}")(lambda stage, name=_name: _killed_at(stage, name))  # type: ignore[misc]


@fault("SIGKILL while FCM thinks")
def _killed_while_fcm_thinks(stage: Stage) -> None:
    """FCM has accepted everything and answers when nobody listens any more."""
    stage.people()
    stage.make_due()
    stage.fcm.set_latency(3)
    dispatcher = stage.dispatcher()
    stage.until_requests(5)
    stage.dies(dispatcher)
    stage.fcm.set_latency(0)
    assert stage.may_repeat


@fault("SIGTERM while FCM thinks")
def _asked_to_stop(stage: Stage) -> None:
    """A deployment is no fault: what is on its way is marked, and nothing is sent again."""
    stage.people()
    stage.make_due()
    stage.fcm.set_latency(2)
    dispatcher = stage.dispatcher(forever=True)
    stage.until_requests(5)
    dispatcher.terminate()
    stage.finish(dispatcher)
    stage.fcm.set_latency(0)


@fault("SIGSTOP before the mark, past the lease")
def _stopped_before_mark(stage: Stage) -> None:
    """Another has the push in hand when the one that was stopped wakes up: its late mark must write nothing."""
    stage.people()
    stage.make_due()
    stopped = stage.dispatcher(fail_point="before_mark:SIGSTOP")
    stage.stops(stopped)
    assert stage.may_repeat, "FCM was asked too late"
    stage.skip_waits()
    stage.fcm.arm("hang", times=5)
    successor = stage.dispatcher()
    stage.until_hanging(1)
    leases = stage.rows(LEASES_HELD)
    assert leases
    while stopped.poll() is None:  # it stops before every mark
        resume(stopped)
        time.sleep(0.05)
    assert stopped.returncode == 0
    still_held = stage.rows(LEASES_HELD)
    stage.fcm.clear_faults()
    stage.finish(successor)
    assert still_held == leases, "a late mark was not fenced off"


@fault("SIGSTOP before sending, past the lease")
def _stopped_before_send(stage: Stage) -> None:
    """Woken up when a request would outlast the lease, it must not begin one. The seconds are real here."""
    stage.people()
    stage.make_due()
    stopped = stage.dispatcher(fail_point="before_send:SIGSTOP")
    stage.stops(stopped)
    time.sleep(16)  # the lease of 25 s less FCM's time-out of 10 s
    stage.skip_waits()
    stage.finish(stage.dispatcher())
    asked = len(stage.ledger())
    while stopped.poll() is None:
        resume(stopped)
        time.sleep(0.05)
    assert len(stage.ledger()) == asked, "a request began that the lease did not cover"


@fault("six dispatchers at once")
def _six_at_once(stage: Stage) -> None:
    stage.people()
    stage.make_due()
    stage.multiply(60)
    stage.fcm.set_latency(0.3)
    for dispatcher in [stage.dispatcher() for _ in range(6)]:
        stage.finish(dispatcher)


@fault("six dispatchers, one after another killed")
def _storm(stage: Stage) -> None:
    """Four hundred reminders in twelve seconds, and whoever is struck, at whatever instruction, is replaced."""
    stage.people()
    alive = [stage.dispatcher(forever=True) for _ in range(6)]
    stage.make_due()
    stage.multiply(80, apart="-150 ms")
    stage.fcm.set_latency(1.5)
    stage.fcm.arm("503", times=20)
    stage.until_requests(1)
    while stage.rows(STILL_TO_COME):
        struck = alive.pop(random.randrange(len(alive)))
        stage.dies(struck)
        stage.skip_waits()
        alive.append(stage.dispatcher(forever=True))
        time.sleep(random.uniform(0, 0.3))
    stage.fcm.set_latency(0)
