"""What a transport answers about a message, in the same few kinds for every channel."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from django.core.exceptions import ImproperlyConfigured


class FcmResultKind(StrEnum):
    ACCEPTED = "accepted"
    RETRY = "retry"  # not accepted this time, or unknown: send it again
    DEAD = "dead"  # this message will never be accepted
    REVOKE = "revoke"  # no message to this token will ever be accepted
    SUSPECT = "suspect"  # the token is dead or the project is the wrong one: try it again later
    REFUSED = "refused"  # the project, its rights or its keys are wrong: an operator must act
    UNSENT = "unsent"  # nothing left this machine


@dataclass(frozen=True, slots=True)
class FcmResult:
    """`error_code` says why a message was not accepted; `message_id` is FCM's name of an accepted message.

    It is sent again after `retry_after` if FCM gave one, otherwise after `pause`, which grows with each
    attempt.
    """

    kind: FcmResultKind
    error_code: str = ""
    message_id: str = ""
    retry_after: timedelta | None = None
    pause: timedelta = timedelta(0)


class FirebaseNotConfigured(ImproperlyConfigured):
    """Firebase's settings are missing or cannot be used: nothing is sent, and reminders stay queued."""
