"""One account that does its worst, past every limit of the API, while the others are to be reminded on time."""

from medtrack.tests.faults.registry import fault
from medtrack.tests.faults.stage import Stage
from medtrack.tests.support.running_product import eventually

# The devices of one account, all on its one session.
DEVICES = """
    INSERT INTO device_tokens (id, user_id, session_id, token, platform, device_id, app_version, language)
    SELECT medtrack_uuid7(), u.id, s.id, %s || n, 'android', '', '', ''
    FROM users u JOIN sessions s ON s.user_id = u.id, generate_series(1, %s) n WHERE u.email = 'eve@example.com'
"""
TEST_PUSHES = """
    INSERT INTO notification_logs (id, user_id, device_id, kind, step, tag, send_at, expires_at, status)
    SELECT medtrack_uuid7(), t.user_id, t.id, 'test', 0, medtrack_uuid7(), now(), now() + interval '5 min', 'queued'
    FROM device_tokens t JOIN users u ON u.id = t.user_id, generate_series(1, %s) n WHERE u.email = 'eve@example.com'
"""
SCHEDULES = """
    WITH copies AS (
        INSERT INTO schedules (id, medication_id, scheduled_time, cycle_type, quantity, meal_relation, start_date,
                               is_active, reminder_enabled, plan_error, version, updated_at)
        SELECT medtrack_uuid7(), s.medication_id, s.scheduled_time, 'daily', 1, s.meal_relation, s.start_date, true,
               true, '', 1, now()
        FROM schedules s JOIN medications m ON m.id = s.medication_id JOIN users u ON u.id = m.user_id,
             generate_series(2, %s)
        WHERE u.email = 'eve@example.com' RETURNING id, medication_id
    )
    INSERT INTO dose_logs (id, user_id, medication_id, schedule_id, log_date, scheduled_time, due_at, answer_by,
                           quantity, status)
    SELECT medtrack_uuid7(), d.user_id, d.medication_id, c.id, d.log_date, d.scheduled_time, d.due_at, d.answer_by,
           1, 'pending'
    FROM copies c JOIN dose_logs d ON d.medication_id = c.medication_id
"""
SURPLUS = """
    UPDATE device_tokens SET revoked_at = now(), revoke_reason = 'too_many_devices'
    WHERE id NOT IN (SELECT device_id FROM push_deliveries)
"""
NOT_EVES = "JOIN users u ON u.id = n.user_id AND u.email <> 'eve@example.com'"
WAITING = f"SELECT n.kind FROM notification_logs n {NOT_EVES} WHERE n.status <> 'accepted'"
LATE = f"SELECT n.id FROM notification_logs n {NOT_EVES} WHERE n.sent_at > n.send_at + interval '60 s'"


@fault("a volley of test pushes to another project's tokens")
def _volley(stage: Stage) -> None:
    """300 tokens that FCM says belong to another project, and test pushes to them before the doses and after."""
    stage.people()
    stage.person("eve", phones=0, doses=0)
    stage.rows(DEVICES, "sender-mismatch-", 300)
    stage.rows(TEST_PUSHES, 2)
    stage.finish(stage.dispatcher())
    stage.rows(TEST_PUSHES, 2)
    stage.make_due()
    stage.finish(stage.dispatcher())
    _nobody_else_waits(stage)
    assert len(stage.accepted()) == 5
    stage.recover()
    for row in stage.rows(
        "SELECT reason, count(*) AS times FROM notification_logs WHERE kind = 'test' GROUP BY 1"
    ):
        stage.excuse(row["reason"], row["times"])


@fault("one account with far too much of everything")
def _far_too_much(stage: Stage) -> None:
    """1,000 schedules of one minute on 1,200 devices: its own push goes out, and the others' do not wait for it."""
    stage.person("eve", phones=0)
    stage.people()
    stage.rows(DEVICES, "eve-phone-", 1200)
    stage.make_due("-5 s")
    stage.rows(SCHEDULES, 1000)
    dispatcher = stage.dispatcher(forever=True)
    eventually(lambda: len(stage.rows(f"SELECT 1 FROM notification_logs n {NOT_EVES}")) == 5)
    eventually(lambda: not stage.rows(WAITING))
    _nobody_else_waits(stage)
    eventually(lambda: not stage.rows("SELECT 1 FROM notification_logs WHERE status = 'queued'"))
    dispatcher.terminate()
    stage.finish(dispatcher)
    # A push goes to the devices seen last; the account is not to be asked about the others.
    stage.rows(SURPLUS)


def _nobody_else_waits(stage: Stage) -> None:
    waiting = stage.rows(WAITING)
    assert not waiting, f"{len(waiting)} reminders of other people wait"
    late = stage.rows(LATE)
    assert not late, f"{len(late)} reminders of other people were late"
