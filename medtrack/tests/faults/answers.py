"""FCM that refuses, breaks off, says nothing, or accepts without being able to say so."""

from functools import partial
from typing import Any

from medtrack.tests.faults.registry import fault
from medtrack.tests.faults.stage import Stage

TIMES = 3


def _answered(stage: Stage, kind: str, **how: Any) -> None:
    stage.people()
    stage.make_due()
    stage.fcm.arm(kind, times=TIMES, **how)
    stage.finish(stage.dispatcher())
    stage.recover()
    assert not stage.fcm.state()["faults"], "FCM was not asked often enough"
    stage.note_lost_answers()
    assert len(stage.may_repeat) >= TIMES or not kind.startswith("accept")


ANSWERS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("FCM 429", "429", {}),
    ("FCM 429 with Retry-After", "429", {"retry_after": 90}),
    ("FCM 500", "500", {}),
    ("FCM 503", "503", {"retry_after": 20}),
    ("FCM close", "close", {}),
    ("FCM hang", "hang", {}),
    ("FCM accept-then-503", "accept-then-503", {}),
    ("FCM accept-then-close", "accept-then-close", {}),
    ("FCM accept-then-hang", "accept-then-hang", {}),
)
for _name, _kind, _how in ANSWERS:
    fault(_name)(partial(_answered, kind=_kind, **_how))


@fault("FCM 404")
def _unregistered(stage: Stage) -> None:
    """One of Ana's two phones and Ben's only one are gone: Ana is told on the other, Ben cannot be."""
    ana, ben, *_others = stage.people()
    gone = [ana.phones[0], ben.phones[0]]
    stage.make_due()
    for phone in gone:
        stage.fcm.arm("404", token=phone.token)
    stage.excuse("UNREGISTERED")
    stage.finish(stage.dispatcher())
    stage.recover()
    revoked = stage.rows("SELECT id::text, revoke_reason FROM device_tokens WHERE revoked_at IS NOT NULL")
    assert {(row["id"], row["revoke_reason"]) for row in revoked} == {(p.id, "UNREGISTERED") for p in gone}
