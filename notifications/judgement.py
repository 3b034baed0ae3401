"""What FCM's refusals mean: that a token is dead, or that we send for the wrong Firebase project.

FCM answers SENDER_ID_MISMATCH and UNREGISTERED for a token of another project. It refuses every message when
our key or our rights are wrong. One account can have any number of such tokens, so users are counted and not
messages. Test pushes are not counted at all.

- The project is **in doubt** while FCM's last answer was a refusal for at least `SHARE` of the users reminded
  lately, and for at least `USERS` of them. Meanwhile dispatchers send at a trickle (`pacing.TRICKLE`) and
  revoke no token.
- A **mismatch** makes a token suspect. A suspect token gets one push an hour, or one as soon as another
  user's push was accepted. While nothing was accepted since, it gets one a minute, so that a corrected key is
  noticed. When such a push is refused after another user's push was accepted, the token is revoked. So a
  project that never had an accepted push revokes nothing.
- **UNREGISTERED** revokes the token at once, unless the project is in doubt or `RECENT_SHARE` of the
  `RECENT_USERS` reminded last were refused, as when a working project has just become the wrong one. Then the
  token becomes suspect.

An accepted push, or registering again, makes a suspect token good.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Protocol

from medtrack.database.clock import database_now
from medtrack.database.ids import first_id
from medtrack.database.statements import Statement
from notifications.queue import Push, PushResult
from notifications.transports.answers import QUOTA_PAUSE
from notifications.transports.results import FcmResult, FcmResultKind

USERS = 10
SHARE = 0.9
RECENT_USERS = 10
RECENT_SHARE = 0.3
MISMATCH = "SENDER_ID_MISMATCH"
UNREGISTERED = "UNREGISTERED"
REFUSALS = (MISMATCH, UNREGISTERED, "HTTP_401", "HTTP_403", "HTTP_404")
# Which answers are read: those to the users reminded last in this time.
LATELY = timedelta(hours=24)
MAX_USERS = 1_000
MAX_DELIVERIES = 5_000
NOTED_EVERY = 1.0  # seconds
NOT_REMINDERS = ("test", "withdraw")


class Answered(Protocol):
    """A push and FCM's result for each device so far, which `Judge.judge` may change."""

    push: Push
    outcomes: dict[str, FcmResult]


_SQL = Path(__file__).parent / "sql"
_LAST_ANSWERS = Statement.of(_SQL / "last_answers.sql")
_PROVEN_WRONG = Statement.of(_SQL / "tokens_proven_wrong.sql")
_NOTE_ACCEPTANCE = Statement.of(_SQL / "note_acceptance.sql")
_SETTLE = Statement.of(_SQL / "settle_tokens.sql")
_TOKEN_STATUSES = {FcmResultKind.REVOKE: "revoked", FcmResultKind.SUSPECT: "suspect"}


def is_in_doubt(refused: Mapping[str, bool]) -> bool:
    """Whether the project is in doubt, given for each user whether FCM's last answer was a refusal."""
    return len(refused) >= USERS and sum(refused.values()) >= SHARE * len(refused)


def is_turning(refused: Mapping[str, bool]) -> bool:
    """Whether many of the users reminded last were refused; given in the order of their answers."""
    recent = list(refused.values())[-RECENT_USERS:]
    return len(recent) >= RECENT_USERS and sum(recent) >= RECENT_SHARE * len(recent)


def judged(outcome: FcmResult, *, in_doubt: bool, proven_wrong: bool) -> FcmResult:
    """Returns the result to act on.

    `proven_wrong` says that another user's push was accepted since the token became suspect.
    """
    if outcome.kind is not FcmResultKind.REVOKE or outcome.error_code not in (MISMATCH, UNREGISTERED):
        return outcome
    if not in_doubt and (outcome.error_code == UNREGISTERED or proven_wrong):
        return outcome
    return replace(outcome, kind=FcmResultKind.SUSPECT, pause=QUOTA_PAUSE)


class Judge:
    """Decides about the answers of one dispatcher by what all dispatchers have written to the database."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._note_at = 0.0
        self.in_doubt = False

    def judge(self, answered: Sequence[Answered]) -> None:
        """Replaces results by those to act on."""
        # The usual case reads nothing from the database.
        refused = [
            (one, device_id, outcome)
            for one in answered
            for device_id, outcome in one.outcomes.items()
            if outcome.error_code in REFUSALS
        ]
        if not refused and not self.in_doubt:
            return
        users = last_answers(answered)
        self.in_doubt = is_in_doubt(users)
        is_unsure = self.in_doubt or is_turning(users)
        # Only pushes to tokens that were suspect prove something. Others may have been sent before the
        # acceptance.
        probed = [device_id for one, device_id, _ in refused if device_id in one.push.probed]
        rows = _PROVEN_WRONG.rows(project=self._project, ids=probed) if probed else []
        wrong = {device_id for (device_id,) in rows}
        for one, device_id, outcome in refused:
            one.outcomes[device_id] = judged(outcome, in_doubt=is_unsure, proven_wrong=device_id in wrong)

    def settle(self, results: Sequence[PushResult]) -> None:
        """Writes what the answers say about the tokens, and that the project's pushes are accepted."""
        # The acceptance first, so that these answers do not prove a token wrong that they make suspect.
        if time.monotonic() >= self._note_at:
            reminded = (r.push.user_id for r in results if r.is_accepted and r.push.kind not in NOT_REMINDERS)
            # Two users suffice: a token is only proven wrong by an acceptance of another user's push.
            users = list(islice(dict.fromkeys(reminded), 2))
            if users:
                self._note_at = time.monotonic() + NOTED_EVERY
                another = users[1] if len(users) == 2 else None
                _NOTE_ACCEPTANCE.execute(project=self._project, user_id=users[0], another=another)
        statuses = []
        for result in results:
            for device_id, outcome in result.outcomes.items():
                status = _TOKEN_STATUSES.get(outcome.kind)
                # An accepted push says something new only about a token that was suspect.
                if outcome.kind is FcmResultKind.ACCEPTED and device_id in result.push.probed:
                    status = "good"
                if status:
                    statuses.append((device_id, status, outcome.error_code, result.push.claimed_at))
        if statuses:
            names = ("ids", "statuses", "reasons", "claimed_ats")
            params = dict(zip(names, map(list, zip(*statuses, strict=True)), strict=True))
            _SETTLE.execute(**params)


def last_answers(answered: Iterable[Answered] = ()) -> dict[str, bool]:
    """Whether FCM's last answer was a refusal, by user id, for users reminded lately; the latest comes last.

    `answered` are pushes whose answers are not written yet.
    """
    rows = _LAST_ANSWERS.rows(
        since=first_id(database_now() - LATELY),
        deliveries=MAX_DELIVERIES,
        users=MAX_USERS,
        refusals=list(REFUSALS),
    )
    refused = dict(reversed(rows))
    for one in answered:
        codes = {outcome.error_code for outcome in one.outcomes.values()}
        is_accepted = any(outcome.kind is FcmResultKind.ACCEPTED for outcome in one.outcomes.values())
        if one.push.kind not in NOT_REMINDERS and (is_accepted or codes & set(REFUSALS)):
            refused.pop(one.push.user_id, None)
            refused[one.push.user_id] = not is_accepted
    return refused
