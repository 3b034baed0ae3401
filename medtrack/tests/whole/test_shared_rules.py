"""The rules that SQL has as a view or function and Python as a queryset or property say the same of generated rows."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from dosing.models import DoseLog, Schedule
from dosing.status import DoseStatus
from medications.models import Medication
from notifications.models import DeviceToken
from users.models import Session, User

HOUR = timedelta(hours=1)
FLAGS = st.fixed_dictionaries(
    {name: st.booleans() for name in ("is_active", "is_staff", "is_superuser", "is_deleted")}
)


def rows(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def ids(statement: str, **parameters: Any) -> set[UUID]:
    return {id for (id,) in rows(statement, **parameters)}


def transaction_start() -> datetime:
    """The instant that `now()` has in the views."""
    ((now,),) = rows("SELECT now()")
    assert isinstance(now, datetime)
    return now


def make_user(now: datetime, *, is_deleted: bool = False, **flags: bool) -> User:
    deleted_at = now - HOUR if is_deleted else None
    values: dict[str, Any] = {"timezone": "UTC", "deleted_at": deleted_at, **flags}
    user: User = User.objects.create(email=f"{uuid4()}@example.com", **values)
    return user


def make_session(user: User, now: datetime, *, is_revoked: bool, expires_in: timedelta) -> Session:
    return Session.objects.create(
        user=user,
        family=uuid4(),
        refresh_token_hash=b"0" * 32,
        created_at=now - 9 * HOUR,
        expires_at=now + expires_in,
        revoked_at=now - HOUR if is_revoked else None,
    )


class TestSharedRules(TestCase):
    @settings(max_examples=25, deadline=None)
    @given(users=st.lists(FLAGS, max_size=6))
    def test_the_patients(self, users: list[dict[str, bool]]) -> None:
        now = transaction_start()
        made = [make_user(now, **flags) for flags in users]
        expected = {user.id for user in made if user.is_patient}
        assert set(User.objects.patients().values_list("id", flat=True)) == expected
        assert ids("SELECT id FROM patients") == expected

    @settings(max_examples=25, deadline=None)
    @given(
        user=FLAGS,
        sessions=st.lists(
            st.fixed_dictionaries(
                {"is_revoked": st.booleans(), "expires_in": st.sampled_from([-HOUR, timedelta(0), HOUR])}
            ),
            max_size=6,
        ),
    )
    def test_the_living_sessions(self, user: dict[str, bool], sessions: list[dict[str, Any]]) -> None:
        now = transaction_start()
        owner = make_user(now, **user)
        for session in sessions:
            make_session(owner, now, **session)
        living = Session.objects.living(now=now).filter(user__in=User.objects.active())
        assert ids("SELECT id FROM living_sessions") == set(living.values_list("id", flat=True))

    @settings(max_examples=40, deadline=None)
    @given(
        devices=st.lists(
            st.fixed_dictionaries(
                {
                    "session": st.sampled_from(["none", "living", "revoked"]),
                    "is_revoked": st.booleans(),
                    "is_suspect": st.booleans(),
                }
            ),
            max_size=6,
        )
    )
    def test_the_reachable_devices(self, devices: list[dict[str, Any]]) -> None:
        now = transaction_start()
        owner = make_user(now)
        for device in devices:
            session = None
            if device["session"] != "none":
                is_revoked = device["session"] == "revoked"
                session = make_session(owner, now, is_revoked=is_revoked, expires_in=HOUR)
            DeviceToken.objects.create(
                user=owner,
                session=session,
                token=str(uuid4()),
                platform="android",
                suspect_since=now - HOUR if device["is_suspect"] else None,
                probed_at=now if device["is_suspect"] else None,
                revoked_at=now if device["is_revoked"] else None,
                revoke_reason="UNREGISTERED" if device["is_revoked"] else "",
            )
        made = DeviceToken.objects.select_related("session")
        reachable = {device.id for device in made if device.is_reachable}
        assert ids("SELECT id FROM reachable_devices") == reachable
        assert set(DeviceToken.objects.reachable().values_list("id", flat=True)) == reachable
        signed_in = {device.id for device in made if device.is_signed_in}
        assert ids("SELECT id FROM signed_in_devices") == signed_in

    @settings(max_examples=40, deadline=None)
    @given(
        doses=st.lists(
            st.fixed_dictionaries(
                {
                    "status": st.sampled_from(DoseStatus),
                    "due_in": st.sampled_from([-HOUR, timedelta(0), HOUR]),
                    "is_awaited": st.booleans(),
                    "is_planned": st.booleans(),
                }
            ),
            max_size=8,
        )
    )
    def test_the_doses_that_count_as_due(self, doses: list[dict[str, Any]]) -> None:
        now = transaction_start()
        owner = make_user(now)
        medication = Medication.objects.create(user=owner, name="Metformin")
        for number, dose in enumerate(doses):
            at = now + dose["due_in"]
            plan: dict[str, Any] = {}
            if dose["is_planned"]:
                schedule = Schedule.objects.create(
                    medication=medication, scheduled_time="08:00", start_date=now.date(), cycle_type="daily"
                )
                plan = {"schedule": schedule, "scheduled_time": "08:00", "due_at": at}
                plan["answer_by"] = at + 4 * HOUR if dose["is_awaited"] else None
            answered = dose["status"] in (DoseStatus.TAKEN, DoseStatus.SKIPPED)
            DoseLog.objects.create(
                user=owner,
                medication=medication,
                log_date=now.date() - timedelta(days=number),
                quantity=1,
                status=dose["status"],
                taken_at=at if dose["status"] == DoseStatus.TAKEN else None,
                recorded_by=owner if answered else None,
                **plan,
            )
        due = DoseLog.objects.due(now=now).filter(schedule__isnull=False)
        counted = ids("SELECT id FROM dose_logs d WHERE medtrack_is_due(d, %(now)s)", now=now)
        assert counted == set(due.values_list("id", flat=True))
