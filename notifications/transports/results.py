"""What a transport says about a message: the same few verdicts whatever the channel."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from django.core.exceptions import ImproperlyConfigured


class FcmResultKind(StrEnum):
    ACCEPTED = "accepted"
    RETRY = "retry"  # not this time, or nobody knows: send it again
    DEAD = "dead"  # this message will never be taken
    REVOKE = "revoke"  # this token will never take any message
    SUSPECT = "suspect"  # this token is dead or our project is the wrong one: try it again later
    REFUSED = "refused"  # our project, its rights or its keys are wrong: an operator must act
    UNSENT = "unsent"  # nothing left this machine


@dataclass(frozen=True, slots=True)
class FcmResult:
    """`code` says why not, `message_id` is FCM's name of an accepted message.

    To be sent again: after `retry_after` if the other side said so, otherwise after `pause`, longer each time.
    """

    kind: FcmResultKind
    error_code: str = ""
    message_id: str = ""
    retry_after: timedelta | None = None
    pause: timedelta = timedelta(0)


class FirebaseNotConfigured(ImproperlyConfigured):
    """Firebase's settings are missing or cannot be used: nothing is sent, and reminders stay queued."""
