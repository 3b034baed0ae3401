"""Whatever people do in whatever order, each dose that is due rings exactly once at the time it has then."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from rest_framework.exceptions import ValidationError

from dosing.actions.doses import InvalidTransition, snooze_dose, take_dose
from dosing.actions.schedules import pause_medication, resume_medication
from dosing.models import DoseLog, Schedule
from medtrack.tests.support.builders import person
from medtrack.tests.support.given_clock import given_clock, set_clock
from notifications.models import NotificationLog
from notifications.tests.given_times import DAY, House, clock
from users.models import User

START = clock("19:55")
TIMES = [f"{hour}:{minute:02}" for hour in (19, 20) for minute in (30, 57, 58, 59)] + [
    "20:00",
    "20:02",
    "21:30",
]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([1, 9, 61, 119, 600])),
        st.tuples(st.just("move"), st.sampled_from(TIMES)),
        st.tuples(st.sampled_from(["pause", "resume", "take", "undo", "enqueue"]), st.none()),
        st.tuples(st.just("snooze"), st.sampled_from([1, 15])),
    ),
    max_size=10,
)


@dataclass
class Model:
    """What was seen happening, to know how often each dose may ring."""

    house: House
    schedule: Schedule
    now: datetime = START
    reopened: Counter[Any] = field(default_factory=Counter)

    def dose(self) -> DoseLog | None:
        return DoseLog.objects.filter(schedule=self.schedule, log_date=DAY.date()).first()

    def step(self, name: str, value: Any) -> None:
        set_clock(self.now)
        user, dose = self.house.user, self.dose()
        medication: dict[str, Any] = {
            "medication_id": self.schedule.medication_id,
            "by": user,
            "now": self.now,
        }
        if name == "wait":
            self.wait(value)
        elif name == "move":
            self.house.move(self.schedule, value, now=self.now)
        elif name == "pause":
            pause_medication(**medication)
        elif name == "resume":
            resume_medication(**medication)
        elif name == "enqueue":
            self.house.enqueue(self.now)
        elif dose is not None and dose.withdrawn_at is None:
            self.answer(name, value, dose)

    def answer(self, name: str, value: Any, dose: DoseLog) -> None:
        command: dict[str, Any] = {"dose_id": dose.id, "by": self.house.user, "now": self.now}
        if name == "take":
            take_dose(**command)
        elif name == "undo" and dose.status == "taken":
            self.house.undo(dose, now=self.now)
            self.reopened[dose.due_at] += 1
        elif name == "snooze":
            with suppress(InvalidTransition, ValidationError):
                snooze_dose(minutes=value, **command)

    def wait(self, seconds: int) -> None:
        """The engine works every two minutes, when the dose is due, and at the end of the wait."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            dose = self.dose()
            soon = [end, self.now + timedelta(minutes=2)]
            soon += [dose.due_at] if dose and dose.due_at and dose.due_at > self.now else []
            self.now = min(soon)
            self.check(self.tick())

    def tick(self) -> int:
        """What the engine does now; returns how many pushes rang."""
        before = len(self.house.rings)
        self.house.tick(self.now)
        return len(self.house.rings) - before

    def check(self, rang: int) -> None:
        dose = self.dose()
        rings = self.house.rings
        assert rang <= 1, rings
        if rang:
            assert dose is not None, rings
            assert (dose.status, dose.withdrawn_at, rings[-1].due_at) == ("pending", None, dose.due_at)
            assert dose.due_at is not None
            assert dose.due_at <= self.now
        if self.must_have_rung(dose):
            assert dose is not None
            assert [ring for ring in rings if ring.due_at == dose.due_at], (self.now, dose.due_at, rings)
        for due_at, count in Counter(ring.due_at for ring in rings if ring.kind == "due").items():
            assert count <= 1 + self.reopened[due_at], rings

    def must_have_rung(self, dose: DoseLog | None) -> bool:
        """A dose that is due and wanted, and whose reminder was not given up on while it was not."""
        if dose is None or dose.status != "pending" or dose.withdrawn_at or dose.snoozed_until:
            return False
        given_up = NotificationLog.objects.filter(dose=dose, due_at=dose.due_at, kind="due", status="moot")
        if given_up.filter(reason__in=["medication_paused", "snoozed", "dose_withdrawn"]).exists():
            return False
        assert dose.due_at is not None
        return dose.due_at <= self.now < dose.due_at + timedelta(minutes=30)


@pytest.mark.breaks_the_engine
class TestSequences(TestCase):
    @settings(max_examples=15, deadline=None)
    @given(steps=STEPS)
    @example(steps=[("wait", 240), ("move", "21:30"), ("wait", 600), ("move", "20:59"), ("wait", 3600)])
    @example(
        steps=[("take", None), ("wait", 600), ("undo", None), ("wait", 9), ("take", None), ("undo", None)]
    )
    def test_each_dose_rings_exactly_once_at_the_time_it_has(self, steps: list[tuple[str, Any]]) -> None:
        user = person("Ana").user
        User.objects.update(follow_up_cap=0)
        with given_clock():
            set_clock(clock("12:00"))
            house = House(user)
            model = Model(house, house.medicine("20:00"))
            for name, value in steps:
                model.step(name, value)
            model.wait(600)
