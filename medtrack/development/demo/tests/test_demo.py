from collections import Counter
from datetime import UTC, datetime, time, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F, QuerySet
from django.test import TestCase

from dosing.actions.schedules import delete_medication
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.status import DoseStatus, EventAction
from medications.models import Medication
from medtrack.database.clock import database_now
from medtrack.development.demo.actions import DAYS, create_demo, make_dose_fall_due
from medtrack.development.demo.people import (
    ADMIN_EMAIL,
    AIKO,
    CAREGIVER,
    CAREGIVER_DEVICE,
    MAYA,
    PASSWORD,
    PATIENTS,
    SEOYEON,
    DemoPatient,
)
from notifications.models import DeviceToken
from users.actions import log_in, sign_up
from users.models import Session, User

# In the future: a session expires some time after this instant, which must be later than its real creation.
NOW = datetime(2040, 3, 20, 15, 10, tzinfo=UTC)
SATURDAY = 6


def doses_of(patient: DemoPatient) -> QuerySet[DoseLog]:
    return DoseLog.objects.filter(user__email=patient.login.email)


def due_at_of(dose: DoseLog) -> datetime:
    assert dose.due_at is not None
    return dose.due_at


def share_taken(doses: QuerySet[DoseLog]) -> float:
    settled = doses.exclude(status=DoseStatus.PENDING)
    return settled.filter(status=DoseStatus.TAKEN).count() / settled.count()


class TestHistory(TestCase):
    reported: list[str]

    @classmethod
    def setUpTestData(cls) -> None:
        cls.reported = []
        create_demo(now=NOW, report=cls.reported.append)

    def test_progress_names_every_patient(self):
        for patient in PATIENTS:
            assert any(patient.login.name in line for line in self.reported)

    def test_all_people_can_sign_in(self):
        emails = [*(patient.login.email for patient in PATIENTS), CAREGIVER.email, ADMIN_EMAIL]
        for email in emails:
            assert log_in(email=email, password=PASSWORD, now=NOW).user.email == email
        assert User.objects.filter(is_superuser=True, is_staff=True).get().email == ADMIN_EMAIL

    def test_the_patients_have_three_languages_and_three_zones(self):
        patients = User.objects.filter(doses__isnull=False).distinct()
        assert set(patients.values_list("language", "timezone")) == {
            ("ko", "Asia/Seoul"),
            ("en", "America/New_York"),
            ("ja", "Europe/London"),
        }

    def test_patients_take_several_medications_and_the_caregiver_none(self):
        for patient in PATIENTS:
            schedules = Schedule.objects.filter(medication__user__email=patient.login.email)
            assert 3 <= schedules.values("medication").distinct().count() <= 5
            assert 4 <= schedules.count() <= 7
            assert set(schedules.values_list("cycle_type", "plan_error")) == {("daily", ""), ("weekly", "")}
        assert not Medication.objects.filter(user__email=CAREGIVER.email).exists()

    def test_every_device_has_a_session_of_its_own(self):
        platforms = {
            patient: Counter(
                DeviceToken.objects.filter(user__email=patient.login.email).values_list("platform")
            )
            for patient in PATIENTS
        }
        assert platforms == {
            SEOYEON: {("android",): 1},
            MAYA: {("ios",): 2},
            AIKO: {("android",): 1, ("web",): 1},
        }
        assert DeviceToken.objects.values("session").distinct().count() == 5
        assert Session.objects.exclude(devices__isnull=False).get().device_name == CAREGIVER_DEVICE

    def test_the_history_is_sixty_whole_days_and_today(self):
        for patient in PATIENTS:
            zone = User.objects.get(email=patient.login.email).zone
            today = NOW.astimezone(zone).date()
            dates = doses_of(patient).filter(log_date__lte=today).values_list("log_date", flat=True)
            assert set(dates) == {today - timedelta(days=days) for days in range(DAYS + 1)}

    def test_adherence_follows_the_habits_of_the_three_patients(self):
        assert 0.92 <= share_taken(doses_of(SEOYEON)) <= 0.98
        assert 0.80 <= share_taken(doses_of(MAYA)) <= 0.90
        assert 0.58 <= share_taken(doses_of(AIKO)) <= 0.72

    def test_the_average_patient_takes_fewer_doses_at_weekends_and_in_the_evening(self):
        doses = doses_of(MAYA)
        weekend, evening = {"log_date__iso_week_day__gte": SATURDAY}, {"scheduled_time__gte": time(18)}
        assert share_taken(doses.filter(**weekend)) < share_taken(doses.exclude(**weekend)) - 0.04
        assert share_taken(doses.filter(**evening)) < share_taken(doses.exclude(**evening)) - 0.04

    def test_the_third_patient_takes_fewer_doses_over_time(self):
        doses, middle = doses_of(AIKO), NOW - timedelta(days=DAYS // 2)
        assert (
            share_taken(doses.filter(due_at__gt=middle)) < share_taken(doses.filter(due_at__lt=middle)) - 0.08
        )

    def test_most_doses_are_taken_within_minutes_and_a_few_after_they_were_missed(self):
        taken = DoseLog.objects.filter(status=DoseStatus.TAKEN)
        prompt = taken.filter(taken_at__range=(F("due_at"), F("due_at") + timedelta(minutes=15)))
        assert 0.7 < prompt.count() / taken.count() < 0.95
        assert 5 < taken.filter(taken_at__gt=F("answer_by")).count() < 60

    def test_a_few_doses_are_skipped_for_a_reason_in_the_patients_language(self):
        for patient in PATIENTS:
            skipped = doses_of(patient).filter(status=DoseStatus.SKIPPED)
            reasons = set(skipped.values_list("skip_reason", flat=True))
            assert reasons
            assert reasons <= set(patient.habits.reasons)

    def test_a_few_answers_are_undone(self):
        assert 1 < DoseEvent.objects.filter(action=EventAction.REOPENED).count() < 40

    def test_doses_without_an_answer_in_time_are_missed(self):
        assert not DoseLog.objects.filter(status=DoseStatus.PENDING, answer_by__lte=NOW).exists()
        unanswered = DoseLog.objects.filter(status=DoseStatus.MISSED)
        assert unanswered.filter(answer_by__lte=NOW, events=None).count() == unanswered.count()

    def test_no_dose_is_answered_before_it_is_due_or_in_the_future(self):
        assert not DoseEvent.objects.filter(occurred_at__lt=F("dose__due_at")).exists()
        assert not DoseEvent.objects.filter(occurred_at__gt=NOW).exists()
        coming = DoseLog.objects.filter(due_at__gt=NOW).values_list("status", flat=True)
        assert set(coming) == {DoseStatus.PENDING}


@pytest.mark.django_db
def test_an_interrupted_create_demo_leaves_no_rows():
    def interrupt_at_the_second(line: str) -> None:
        if MAYA.login.name in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create_demo(now=NOW, report=interrupt_at_the_second)
    assert not User.objects.exists()
    assert not DoseLog.objects.exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("installed_demo")
def test_the_second_create_demo_changes_nothing_and_prints_the_same_table():
    first, second, progress = StringIO(), StringIO(), StringIO()
    call_command("create_demo", stdout=first, stderr=StringIO())
    before = DoseLog.objects.order_by("id").values_list("id", "status", "taken_at")
    rows = list(before)
    call_command("create_demo", stdout=second, stderr=progress)
    assert list(before.all()) == rows
    assert first.getvalue() == second.getvalue()
    assert progress.getvalue() == "The demo data exists already.\n"
    assert first.getvalue().splitlines() == [
        "Role       E-mail                    Password       Zone",
        "patient    seoyeon@medtrack.example  medtrack-demo  Asia/Seoul",
        "patient    maya@medtrack.example     medtrack-demo  America/New_York",
        "patient    aiko@medtrack.example     medtrack-demo  Europe/London",
        "caregiver  minjun@medtrack.example   medtrack-demo  Asia/Seoul",
        "admin      admin@medtrack.example    medtrack-demo  UTC",
    ]


@pytest.fixture
def seoyeon(db: Any) -> User:
    """The demo's patient in Seoul, without medications."""
    login = SEOYEON.login
    return sign_up(
        email=login.email,
        password=PASSWORD,
        now=NOW,
        name=login.name,
        timezone=login.timezone,
        language=login.language,
    ).user


@pytest.mark.usefixtures("installed_demo")
def test_demo_reminder_prints_when_the_dose_falls_due_within_80_seconds(seoyeon):
    printed = StringIO()
    before = database_now()
    call_command("demo_reminder", stdout=printed)
    due_at = due_at_of(DoseLog.objects.get(user=seoyeon))
    assert timedelta(seconds=20) <= due_at - before
    assert due_at - database_now() <= timedelta(seconds=80)
    local = due_at.astimezone(seoyeon.zone)
    assert printed.getvalue() == (
        f"김서연's next dose falls due at {due_at:%H:%M}:00 UTC ({local:%H:%M} in Seoul)\n"
    )


@pytest.mark.parametrize(("second", "minute"), [(0, 11), (40, 11), (41, 12), (59, 12)])
def test_the_dose_falls_due_at_the_next_full_minute_after_20_seconds(second, minute, seoyeon):
    soon = make_dose_fall_due(now=NOW.replace(second=second))
    assert soon.due_at == NOW.replace(minute=minute)
    assert soon.due_at == due_at_of(DoseLog.objects.get(user=seoyeon, status=DoseStatus.PENDING))


def test_two_calls_within_a_minute_make_one_dose(seoyeon):
    for seconds in (0, 15, 35, 90):
        make_dose_fall_due(now=NOW + timedelta(seconds=seconds))
    minutes = [due_at_of(dose).minute for dose in DoseLog.objects.order_by("due_at")]
    assert minutes == [11, 12]
    assert Medication.objects.get(user=seoyeon).name == "비타민 C"


@pytest.mark.parametrize(
    ("now", "local"),
    [
        (datetime(2040, 3, 20, 14, 58, 30, tzinfo=UTC), "2040-03-20 23:59"),
        (datetime(2040, 3, 20, 14, 59, 30, tzinfo=UTC), "2040-03-21 00:00"),
        (datetime(2040, 3, 20, 15, 0, 10, tzinfo=UTC), "2040-03-21 00:01"),
    ],
)
def test_around_midnight_the_dose_belongs_to_the_local_date_on_which_it_falls_due(now, local, seoyeon):
    make_dose_fall_due(now=now)
    dose = DoseLog.objects.get(user=seoyeon)
    assert f"{dose.log_date} {dose.scheduled_time:%H:%M}" == local
    assert timedelta(seconds=20) <= due_at_of(dose) - now <= timedelta(seconds=80)
    assert dose.schedule is not None
    assert (dose.schedule.start_date, dose.schedule.end_date) == (dose.log_date, dose.log_date)


def test_a_schedule_of_one_minute_is_deleted_when_its_answer_window_is_over_and_its_dose_stays(seoyeon):
    make_dose_fall_due(now=NOW)
    make_dose_fall_due(now=NOW + timedelta(hours=3))
    assert Schedule.objects.visible_to(seoyeon).count() == 2
    make_dose_fall_due(now=NOW + timedelta(hours=5))
    assert Schedule.objects.visible_to(seoyeon).count() == 2
    assert DoseLog.objects.count() == 3


def test_a_deleted_or_paused_medication_is_replaced(seoyeon):
    make_dose_fall_due(now=NOW)
    medication = Medication.objects.get()
    delete_medication(medication_id=medication.id, by=medication.user, now=NOW)
    make_dose_fall_due(now=NOW + timedelta(minutes=1))
    Medication.objects.filter(deleted_at=None).update(paused_at=NOW)
    make_dose_fall_due(now=NOW + timedelta(minutes=2))
    assert Medication.objects.count() == 3
    assert DoseLog.objects.filter(due_at=NOW + timedelta(minutes=3), status=DoseStatus.PENDING).exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("installed_demo")
def test_demo_reminder_without_the_demo_refers_to_create_demo():
    with pytest.raises(CommandError, match="run create_demo first"):
        call_command("demo_reminder")
