from notifications.breaker import ENOUGH, MISMATCH, spare_tokens
from notifications.transports.outcomes import Outcome, Verdict

STRANGER = Outcome(Verdict.REVOKE, MISMATCH)
ACCEPTED = Outcome(Verdict.ACCEPTED, message_id="1")


def answers(mismatches: int, accepted: int) -> list[dict[str, Outcome]]:
    return [{"a": STRANGER} for _ in range(mismatches)] + [{"a": ACCEPTED} for _ in range(accepted)]


def verdicts(given: list[dict[str, Outcome]]) -> set[Verdict]:
    spare_tokens(given)
    return {outcome.verdict for outcomes in given for outcome in outcomes.values()}


def test_many_mismatches_at_once_are_the_projects_fault_and_cost_nobody_their_token() -> None:
    assert verdicts(answers(ENOUGH, ENOUGH - 1)) == {Verdict.REFUSED, Verdict.ACCEPTED}


def test_a_few_mismatches_are_the_phones_own() -> None:
    assert verdicts(answers(ENOUGH - 1, 0)) == {Verdict.REVOKE}


def test_mismatches_among_many_that_were_accepted_are_the_phones_own() -> None:
    assert verdicts(answers(ENOUGH, ENOUGH)) == {Verdict.REVOKE, Verdict.ACCEPTED}
