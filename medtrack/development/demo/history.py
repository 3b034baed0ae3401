"""How somebody of a certain character answers one occasion: the doses of one person due at one instant.

Pure: no clock, no database; chance comes from the given generator.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from dosing.status import Change
from medtrack.development.demo.people import Character

EVENING_HOUR = 18
FRIDAY = 4


@dataclass(frozen=True)
class Step:
    """One thing that somebody does to the doses of an occasion, at an instant."""

    change: Change
    at: datetime
    reason: str = ""


def answer(due: datetime, character: Character, *, progress: float, chance: Random) -> Iterator[Step]:
    """What happens to the doses due at `due`, in order; nothing when they are forgotten.

    `due` is in the person's own zone; `progress` runs from 0 on the first day of the history to 1 on the last.
    """
    if chance.random() >= _share_taken(due, character, progress):
        if chance.random() < character.skips:
            yield Step(
                Change.SKIP, due + _minutes(chance, 1, 90, mostly=10), chance.choice(character.reasons)
            )
        return
    taken_at = due + _delay(due, character, chance)
    if chance.random() < character.undoes:
        yield Step(Change.TAKE, taken_at)
        yield Step(Change.UNDO, taken_at + _minutes(chance, 0.2, 3, mostly=0.5))
        taken_at += _minutes(chance, 4, 40, mostly=10)
    yield Step(Change.TAKE, taken_at)


def _share_taken(due: datetime, character: Character, progress: float) -> float:
    share = character.takes - character.decline * progress
    if due.weekday() > FRIDAY:
        share -= character.weekend
    if due.hour >= EVENING_HOUR:
        share -= character.evening
    return share


def _delay(due: datetime, character: Character, chance: Random) -> timedelta:
    """From due to taken: minutes mostly, sometimes an hour or two, rarely after the dose was already missed."""
    kind = chance.random()
    if kind < character.after_missed and due.hour < EVENING_HOUR:
        return _minutes(chance, 250, 400, mostly=270)
    if kind < character.after_missed + character.late:
        return _minutes(chance, 20, 140, mostly=35)
    return _minutes(chance, 0.3, 15, mostly=2)


def _minutes(chance: Random, least: float, most: float, *, mostly: float) -> timedelta:
    return timedelta(seconds=round(60 * chance.triangular(least, most, mostly)))
