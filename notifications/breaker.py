"""When too many phones at once seem to belong to another project, it is the project that is wrong, not the phones."""

from collections.abc import Sequence

from notifications.transports.answers import QUOTA_PAUSE
from notifications.transports.outcomes import Outcome, Verdict

MISMATCH = "SENDER_ID_MISMATCH"
ENOUGH = 10
_REFUSED = Outcome(Verdict.REFUSED, MISMATCH, pause=QUOTA_PAUSE)


def spare_tokens(answers: Sequence[dict[str, Outcome]]) -> None:
    """Turns mismatches, in place, into a refusal of the project if they are many and the majority."""
    mismatches = [
        (outcomes, device_id)
        for outcomes in answers
        for device_id, outcome in outcomes.items()
        if outcome.code == MISMATCH
    ]
    if len(mismatches) >= ENOUGH and 2 * len(mismatches) > sum(map(len, answers)):
        for outcomes, device_id in mismatches:
            outcomes[device_id] = _REFUSED
