"""PostgreSQL and Redis that go away in the middle of the work, and ticks that come twice or not at all."""

import signal
import time

from medtrack.tests.faults.registry import fault
from medtrack.tests.faults.stage import Stage
from medtrack.tests.support.own_services import OwnServices
from medtrack.tests.support.running_product import eventually

TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'dispatcher%%'
"""


def _services(stage: Stage) -> OwnServices:
    assert stage.services
    return stage.services


def _restart_postgres(stage: Stage) -> None:
    _services(stage).stop_postgres_at_once()
    _services(stage).start_postgres()
    stage.until_web_is_ready()


@fault("PostgreSQL restarted in flight")
def _postgres_restarted(stage: Stage) -> None:
    """Nobody dies and every answer arrives, so nothing may be sent again."""
    stage.people()
    stage.make_due()
    stage.fcm.set_latency(2)
    dispatcher = stage.dispatcher()
    stage.until_requests(5)
    _restart_postgres(stage)
    stage.finish(dispatcher)


@fault("PostgreSQL restarted before the next claim")
def _postgres_restarted_between_claims(stage: Stage) -> None:
    """The queue is longer than one claim, so the dispatcher asks for more while answers are on their way."""
    stage.people()
    stage.make_due()
    stage.multiply(300)
    stage.fcm.set_latency(2)
    dispatcher = stage.dispatcher()
    stage.until_requests(1000)
    _restart_postgres(stage)
    stage.fcm.set_latency(0)
    eventually(lambda: dispatcher.poll() is not None)


@fault("PostgreSQL sessions terminated in flight")
def _sessions_terminated(stage: Stage) -> None:
    """Again and again, at whatever statement it hits."""
    stage.people()
    stage.make_due()
    stage.multiply(100)
    stage.fcm.set_latency(0.3)
    stage.dispatcher(forever=True)
    stage.until_requests(1)
    for _ in range(8):
        stage.rows(TERMINATE)
        time.sleep(0.15)
    stage.fcm.set_latency(0)


@fault("Redis killed, dispatch without it")
def _redis_away(stage: Stage) -> None:
    stage.people()
    stage.make_due()
    _services(stage).kill_redis()
    try:
        stage.finish(stage.dispatcher())
    finally:
        _services(stage).start_redis()


def _working(stage: Stage) -> None:
    """A worker and a beat that are known to work: Eve has got her push."""
    stage.person("eve")
    stage.make_due()
    stage.worker()
    stage.beat()
    stage.until_requests(1)
    stage.people()


@fault("Redis flushed")
def _redis_flushed(stage: Stage) -> None:
    _working(stage)
    stage.fcm.set_latency(0.5)
    stage.make_due()
    for _ in range(10):
        stage.redis().flushall()
        time.sleep(0.2)


@fault("Redis killed and started again")
def _redis_killed(stage: Stage) -> None:
    _working(stage)
    _services(stage).kill_redis()
    stage.make_due()
    time.sleep(2)
    _services(stage).start_redis()


@fault("Redis paused")
def _redis_paused(stage: Stage) -> None:
    _working(stage)
    _services(stage).signal_redis(signal.SIGSTOP)
    stage.make_due()
    time.sleep(5)
    _services(stage).signal_redis(signal.SIGCONT)


@fault("two beats, two workers")
def _two_beats(stage: Stage) -> None:
    stage.people()
    for start in (stage.worker, stage.worker, stage.beat, stage.beat):
        start()
    stage.make_due("-3 s")
    stage.multiply(1)
    eventually(lambda: len(stage.accepted()) >= 5)


@fault("worker killed while FCM thinks")
def _worker_killed(stage: Stage) -> None:
    """A lost worker, not only a lost dispatcher: its successor has nothing but the row."""
    stage.people()
    stage.fcm.arm("accept-then-hang", times=5)
    worker = stage.worker()
    stage.beat()
    stage.make_due()
    stage.until_hanging(5)
    stage.dies(worker)
    stage.fcm.clear_faults()
    assert stage.may_repeat
    stage.worker()
