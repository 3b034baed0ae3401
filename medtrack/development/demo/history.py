"""Decides how a patient answers the doses that are due at one instant, from their habits and chance.

Pure: no clock and no database; the random generator is passed in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from dosing.status import Change
from medtrack.development.demo.people import Habits

EVENING_HOUR = 18
FRIDAY = 4


@dataclass(frozen=True)
class DemoAnswer:
    """A change that the patient makes to the doses of an instant."""

    change: Change
    at: datetime
    reason: str = ""


def answers(due: datetime, habits: Habits, *, progress: float, random: Random) -> Iterator[DemoAnswer]:
    """Yields the answers to the doses due at `due`, in the order of time; none when they are forgotten.

    `due` is in the patient's zone. `progress` is 0 on the first day of the history and 1 on the last.
    """
    share_taken = habits.takes - habits.decline * progress
    if due.weekday() > FRIDAY:
        share_taken -= habits.weekend
    if due.hour >= EVENING_HOUR:
        share_taken -= habits.evening
    if random.random() >= share_taken:
        if random.random() < habits.skips:
            skipped_at = due + _minutes(random, 1, 90, mode=10)
            yield DemoAnswer(Change.SKIP, skipped_at, random.choice(habits.reasons))
        return

    # Mostly within minutes, sometimes an hour or two late, and rarely after the dose was missed. In the
    # evening the answer to a missed dose would be given at night, so there is none.
    chance = random.random()
    if chance < habits.after_missed and due.hour < EVENING_HOUR:
        taken_at = due + _minutes(random, 250, 400, mode=270)
    elif chance < habits.after_missed + habits.late:
        taken_at = due + _minutes(random, 20, 140, mode=35)
    else:
        taken_at = due + _minutes(random, 0.3, 15, mode=2)
    if random.random() < habits.undoes:
        yield DemoAnswer(Change.TAKE, taken_at)
        yield DemoAnswer(Change.UNDO, taken_at + _minutes(random, 0.2, 3, mode=0.5))
        taken_at += _minutes(random, 4, 40, mode=10)
    yield DemoAnswer(Change.TAKE, taken_at)


def _minutes(random: Random, least: float, most: float, *, mode: float) -> timedelta:
    return timedelta(seconds=round(60 * random.triangular(least, most, mode)))
