"""What refusals say: that a token is dead, or that the Firebase project we send for is the wrong one.

FCM answers SENDER_ID_MISMATCH and UNREGISTERED for a token of another project, and refuses every message when our key
or our rights are wrong. One account can have any number of such tokens, so people are counted and never messages, and
test pushes not at all:

- The project is **in doubt** while FCM's last answer to at least `SHARE` of the people reminded lately, and to at least
  `PEOPLE` of them, was a refusal. Then dispatchers go on at a trickle (`pacing.TRICKLE`) and no token is revoked.
- A **mismatch** makes a token suspect: it gets one push an hour, or one as soon as another person's push was accepted;
  and one a minute as long as nothing was accepted since, so that a mended key is noticed. If such a probe is refused
  after another person's push was accepted, the token is revoked. So a project that never had an accepted push revokes
  nothing.
- **UNREGISTERED** revokes the token at once, unless the project is in doubt, or `RECENT_SHARE` of the `RECENT_PEOPLE`
  reminded last were refused, as when a working project has just become the wrong one: then it becomes suspect.

An accepted push, or registering again, clears a suspect token.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Protocol

from django.db import connection

from medtrack.database.clock import database_now
from medtrack.database.ids import first_id
from notifications.queue import Push, PushResult
from notifications.transports.answers import QUOTA_PAUSE
from notifications.transports.results import FcmResult, FcmResultKind

PEOPLE = 10
SHARE = 0.9
RECENT_PEOPLE = 10
RECENT_SHARE = 0.3
MISMATCH = "SENDER_ID_MISMATCH"
UNREGISTERED = "UNREGISTERED"
REFUSALS = (MISMATCH, UNREGISTERED, "HTTP_401", "HTTP_403", "HTTP_404")
# Whose answers are looked at: people reminded in this time, the latest of them.
LATELY = timedelta(hours=24)
MOST_PEOPLE = 1_000
MOST_DELIVERIES = 5_000
NOTED_EVERY = 1.0  # seconds
NOT_REMINDERS = ("test", "withdraw")


class Answered(Protocol):
    """A push and the outcome of each of its devices so far, which a judgement may change."""

    push: Push
    outcomes: dict[str, FcmResult]


def _sql(name: str) -> str:
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text()


_LAST_ANSWERS = _sql("last_answers")
_PROVEN_WRONG = _sql("tokens_proven_wrong")
_NOTE_ACCEPTANCE = _sql("note_acceptance")
_SETTLE = _sql("settle_tokens")
_TOKEN_STATUSES = {FcmResultKind.REVOKE: "revoked", FcmResultKind.SUSPECT: "suspect"}


def is_in_doubt(refused: Mapping[str, bool]) -> bool:
    """Whether the project is in doubt, given for each person whether FCM's last answer was a refusal."""
    return len(refused) >= PEOPLE and sum(refused.values()) >= SHARE * len(refused)


def is_turning(refused: Mapping[str, bool]) -> bool:
    """Whether many of those reminded last were refused; the people in the order in which they were answered."""
    recent = list(refused.values())[-RECENT_PEOPLE:]
    return len(recent) >= RECENT_PEOPLE and sum(recent) >= RECENT_SHARE * len(recent)


def judged(outcome: FcmResult, *, in_doubt: bool, proven_wrong: bool) -> FcmResult:
    """The outcome as it counts. `proven_wrong`: another person's push was accepted since the token became suspect."""
    if outcome.kind is not FcmResultKind.REVOKE or outcome.error_code not in (MISMATCH, UNREGISTERED):
        return outcome
    if not in_doubt and (outcome.error_code == UNREGISTERED or proven_wrong):
        return outcome
    return replace(outcome, kind=FcmResultKind.SUSPECT, pause=QUOTA_PAUSE)


class Judge:
    """Judges the answers that one dispatcher gets, by what all of them have written down."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._note_at = 0.0
        self.in_doubt = False

    def judge(self, answered: Sequence[Answered]) -> None:
        """Changes the outcomes to what they count as. Reads the database only where FCM refused something."""
        refused = [
            (one, device_id, outcome)
            for one in answered
            for device_id, outcome in one.outcomes.items()
            if outcome.error_code in REFUSALS
        ]
        if not refused and not self.in_doubt:
            return
        people = last_answers(answered)
        self.in_doubt = is_in_doubt(people)
        is_unsure = self.in_doubt or is_turning(people)
        # Only a probe proves something: other answers may be to pushes from before the acceptance.
        wrong = self._proven_wrong(
            [device_id for one, device_id, _ in refused if device_id in one.push.probed]
        )
        for one, device_id, outcome in refused:
            one.outcomes[device_id] = judged(outcome, in_doubt=is_unsure, proven_wrong=device_id in wrong)

    def settle(self, results: Sequence[PushResult]) -> None:
        """Writes down what the answers say of the tokens, and that the project's pushes are accepted."""
        # First, so that a token that becomes suspect now is not proven wrong by the very same answers.
        if time.monotonic() >= self._note_at:
            self._note_acceptance(results)
        self._settle_tokens(results)

    def _proven_wrong(self, device_ids: list[str]) -> set[str]:
        if not device_ids:
            return set()
        with connection.cursor() as cursor:
            cursor.execute(_PROVEN_WRONG, {"project": self._project, "ids": device_ids})
            return {device_id for (device_id,) in cursor.fetchall()}

    def _settle_tokens(self, results: Sequence[PushResult]) -> None:
        statuses = [
            (device_id, status, outcome.error_code, result.push.claimed_at)
            for result in results
            for device_id, outcome in result.outcomes.items()
            if (status := _token_status(result.push, device_id, outcome))
        ]
        if statuses:
            names = ("ids", "statuses", "reasons", "claimed_ats")
            params = dict(zip(names, map(list, zip(*statuses, strict=True)), strict=True))
            with connection.cursor() as cursor:
                cursor.execute(_SETTLE, params)

    def _note_acceptance(self, results: Sequence[PushResult]) -> None:
        reminded = (r.push.user_id for r in results if r.has_arrived and r.push.kind not in NOT_REMINDERS)
        people = list(islice(dict.fromkeys(reminded), 2))
        if people:
            self._note_at = time.monotonic() + NOTED_EVERY
            another = people[1] if len(people) == 2 else None
            params = {"project": self._project, "user_id": people[0], "another": another}
            with connection.cursor() as cursor:
                cursor.execute(_NOTE_ACCEPTANCE, params)


def _token_status(push: Push, device_id: str, outcome: FcmResult) -> str | None:
    if outcome.kind is FcmResultKind.ACCEPTED:
        return "good" if device_id in push.probed else None
    return _TOKEN_STATUSES.get(outcome.kind)


def last_answers(answered: Iterable[Answered] = ()) -> dict[str, bool]:
    """For each person reminded lately whether FCM's last answer was a refusal, those answered last at the end."""
    params = {
        "since": first_id(database_now() - LATELY),
        "deliveries": MOST_DELIVERIES,
        "people": MOST_PEOPLE,
        "refusals": list(REFUSALS),
    }
    with connection.cursor() as cursor:
        cursor.execute(_LAST_ANSWERS, params)  # type: ignore[arg-type]
        refused = dict(reversed(cursor.fetchall()))
    for one in answered:
        codes = {outcome.error_code for outcome in one.outcomes.values()}
        is_accepted = any(outcome.kind is FcmResultKind.ACCEPTED for outcome in one.outcomes.values())
        if one.push.kind not in NOT_REMINDERS and (is_accepted or codes & set(REFUSALS)):
            refused.pop(one.push.user_id, None)
            refused[one.push.user_id] = not is_accepted
    return refused
