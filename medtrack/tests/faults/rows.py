"""Rows that are poison, late, or no longer whose they were."""

from collections import Counter

from medtrack.tests.faults.registry import fault
from medtrack.tests.faults.stage import Stage

OF = "(SELECT id FROM users WHERE email = %s)"
QUIET = (
    "UPDATE users SET timezone = %s, quiet_hours_start_time = '00:00', quiet_hours_end_time = '00:00' "
    "WHERE email = 'ben@example.com'"
)


@fault("poison: a schedule that cannot be planned")
def _poison_schedule(stage: Stage) -> None:
    """It is set aside with the reason; the others are planned and reminded of."""
    stage.people()
    stage.truncate("dose_logs")
    stage.rows("UPDATE schedules SET planned_until = now() - interval '1 hour'")
    stage.rows(
        "UPDATE schedules SET cycle_type = 'weekly', cycle_value = '{\"days\": 3}' WHERE medication_id IN "
        f"(SELECT id FROM medications WHERE user_id = {OF})",
        "ben@example.com",
    )
    stage.manage("plan")
    stage.rows("DELETE FROM dose_logs WHERE due_at <= now()")
    (set_aside,) = stage.rows("SELECT count(*) FROM schedules WHERE plan_error <> ''")
    assert set_aside["count"] == 1, set_aside
    stage.make_due()
    stage.finish(stage.dispatcher())
    stage.recover()
    assert len(stage.accepted()) == 4, stage.accepted()


@fault("poison: a message that cannot be written")
def _poison_message(stage: Stage) -> None:
    _enqueued(stage)
    stage.rows(
        f"UPDATE notification_logs SET expires_at = 'infinity' WHERE user_id = {OF}", "ben@example.com"
    )
    stage.excuse("UNSENDABLE")
    stage.finish(stage.dispatcher())
    stage.rows(
        "UPDATE notification_logs SET expires_at = send_at + interval '30 min'"
    )  # for the account to be read


@fault("poison: a zone that no longer exists")
def _poison_zone(stage: Stage) -> None:
    """Follow-ups, one of them to a person whose quiet hours cannot be told: nobody may have to wait for that."""
    _reminded(stage)
    stage.rows(QUIET, "Mars/Olympus")
    stage.let_pass("11 min")
    stage.finish(stage.dispatcher())
    stage.recover()
    assert _kinds(stage) == {"due": 5, "follow_up": 5}


@fault("poison: a window that never ends")
def _poison_window(stage: Stage) -> None:
    """A date that PostgreSQL can write and Python cannot read, of a person who wants quiet just now."""
    _reminded(stage)
    stage.rows(QUIET, "UTC")
    stage.rows(f"UPDATE dose_logs SET answer_by = 'infinity' WHERE user_id = {OF}", "ben@example.com")
    stage.let_pass("11 min")
    stage.excuse("quiet_hours")
    stage.finish(stage.dispatcher())
    stage.recover()
    assert _kinds(stage) == {"due": 5, "follow_up": 4}


def _reminded(stage: Stage) -> None:
    stage.people()
    stage.make_due()
    stage.finish(stage.dispatcher())
    stage.recover()


def _kinds(stage: Stage) -> Counter[str]:
    return Counter(line["message"]["data"]["kind"] for line in stage.accepted())


def _enqueued(stage: Stage) -> None:
    """Everybody's reminders are in the queue, and now is their time."""
    stage.people()
    stage.make_due("-1 min")
    stage.finish(stage.dispatcher())
    (count,) = stage.rows("SELECT count(*) FROM notification_logs")
    assert count == {"count": 5}, count
    stage.let_pass("61 s")


@fault("a backlog of six hours")
def _long_backlog(stage: Stage) -> None:
    """Five reminders were in the queue when the lights went out; those of the first hours are beyond all help."""
    _backlog(stage, hours=6)
    stage.excuse("expired", 5 + 3 * 5)


@fault("a backlog of two hours")
def _short_backlog(stage: Stage) -> None:
    """Also the five that were in the queue can still be made up for, and by the same push as the others."""
    _backlog(stage, hours=2)
    stage.excuse("expired", 5 + 5)


def _backlog(stage: Stage, *, hours: int) -> None:
    _enqueued(stage)
    stage.let_pass(f"{hours} h")
    stage.multiply(hours + 1, apart="-57 min")
    stage.recover()
    stage.finish(stage.dispatcher())  # there may be something to follow what expired only now
    stage.recover()
    told = Counter((line["message"]["token"], line["message"]["data"]["kind"]) for line in stage.accepted())
    assert set(told.values()) == {1}, f"more than one push to make up for it: {dict(told)}"
    assert len(told) == 5 + 5, f"the last hour and the hours before it: {dict(told)}"


def _refused_meanwhile(stage: Stage) -> None:
    """FCM has Ana's push in hand and will come to nothing; what happens until then decides about the retry."""
    stage.fcm.arm("hang", token="ana-phone-0", seconds=4)
    stage.make_due()


@fault("a device re-owned in flight")
def _device_re_owned(stage: Stage) -> None:
    ana, ben = stage.person("ana"), stage.person("ben")
    _refused_meanwhile(stage)
    dispatcher = stage.dispatcher()
    stage.until_hanging(1)
    stage.register(ben.access, ana.phones[0].token)
    stage.excuse("no_device")
    stage.finish(dispatcher)
    stage.recover()
    told = Counter(line["message"]["token"] for line in stage.accepted())
    assert told == {"ben-phone-0": 1}, f"pushes went to {dict(told)}"


@fault("a device logged out in flight")
def _logged_out(stage: Stage) -> None:
    ana, _ben = stage.person("ana"), stage.person("ben")
    _refused_meanwhile(stage)
    dispatcher = stage.dispatcher()
    stage.until_hanging(1)
    stage.api("POST", "auth/logout", token=ana.access)
    stage.excuse("no_device")
    stage.finish(dispatcher)
    stage.recover()
    assert "ana-phone-0" not in {line["message"]["token"] for line in stage.accepted()}


@fault("a device removed in flight")
def _device_removed(stage: Stage) -> None:
    ana, _ben = stage.person("ana", phones=2), stage.person("ben")
    _refused_meanwhile(stage)
    dispatcher = stage.dispatcher()
    stage.until_hanging(1)
    stage.api("DELETE", f"devices/{ana.phones[0].id}", token=ana.access)
    stage.finish(dispatcher)
