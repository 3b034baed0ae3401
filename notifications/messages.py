"""The messages of pushes: a localised text, and ids as data.

The text names medications only if the user wants it.

firebase-admin encodes each kind of message once. Token, ids and texts of each push are then put into the
JSON.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from secrets import token_hex
from textwrap import shorten

from django.utils import translation
from django.utils.translation import gettext, ngettext
from firebase_admin import messaging

from notifications.queue import Push

# FCM takes 4,096 bytes; a name of 200 Korean letters alone is 600 of them.
MAX_BODY_LENGTH = 160
MAX_DOSE_IDS = 50
MAX_TTL = 2_419_200

# Random, so that no medication can have one of them in its name.
_TOKEN, _TAG, _NOTIFICATION, _DOSES, _TITLE, _BODY = (token_hex(8) for _ in range(6))


def bodies(push: Push, *, now: float) -> Iterator[tuple[str, bytes]]:
    """The JSON of one `messages:send` per device, with the device's id. `now` is seconds since the epoch."""
    ttl = int(min(max(push.expires_at - now, 0), MAX_TTL))
    content = (
        _template(push.kind, ttl, int(push.expires_at), *text(push))
        .replace(_TAG, push.tag)
        .replace(_NOTIFICATION, push.notification_ids[0])
        .replace(_DOSES, ",".join(push.dose_ids[:MAX_DOSE_IDS]))
    )
    for device_id, token in push.devices.items():
        yield device_id, content.replace(_TOKEN, json.dumps(token)[1:-1]).encode()


@lru_cache(maxsize=1024)
def _template(kind: str, ttl: int, expires_at: int, title: str, body: str) -> str:
    content = _encoded(kind, ttl, expires_at)
    for name, words in ((_TITLE, title), (_BODY, body)):
        content = content.replace(name, json.dumps(words, ensure_ascii=False)[1:-1])
    return content


@lru_cache(maxsize=256)
def _encoded(kind: str, ttl: int, expires_at: int) -> str:
    """firebase-admin's JSON with placeholders, for all values that are not replaced later."""
    message = _withdrawal(ttl, expires_at) if kind == "withdraw" else _notice(kind, ttl, expires_at)
    return f'{{"message":{message}}}'


def _notice(kind: str, ttl: int, expires_at: int) -> messaging.Message:
    """A visible push. Its tag makes it replace an earlier push with the same tag."""
    return messaging.Message(
        token=_TOKEN,
        data={"kind": kind, "notification_id": _NOTIFICATION, "dose_ids": _DOSES},
        notification=messaging.Notification(title=_TITLE, body=_BODY),
        android=messaging.AndroidConfig(
            priority="high",
            ttl=timedelta(seconds=ttl),
            collapse_key=kind,
            notification=messaging.AndroidNotification(tag=_TAG),
        ),
        apns=messaging.APNSConfig(
            headers={
                "apns-priority": "10",
                "apns-expiration": str(expires_at),
                "apns-collapse-id": _TAG,
            },
            payload=messaging.APNSPayload(aps=messaging.Aps(sound="default")),
        ),
        webpush=messaging.WebpushConfig(
            headers={"TTL": str(ttl), "Urgency": "high"},
            notification=messaging.WebpushNotification(tag=_TAG, renotify=True),
        ),
    )


def _withdrawal(ttl: int, expires_at: int) -> messaging.Message:
    """A silent push: the app removes the notification with the tag. No collapse key, as each one counts."""
    return messaging.Message(
        token=_TOKEN,
        data={"kind": "withdraw", "notification_id": _NOTIFICATION, "dose_ids": _DOSES, "tag": _TAG},
        android=messaging.AndroidConfig(priority="normal", ttl=timedelta(seconds=ttl)),
        apns=messaging.APNSConfig(
            headers={
                "apns-push-type": "background",
                "apns-priority": "5",
                "apns-expiration": str(expires_at),
            },
            payload=messaging.APNSPayload(aps=messaging.Aps(content_available=True)),
        ),
        webpush=messaging.WebpushConfig(headers={"TTL": str(ttl), "Urgency": "normal"}),
    )


def text(push: Push) -> tuple[str, str]:
    """Title and body in the user's language."""
    return wording(push.kind, push.language, len(push.dose_ids), () if push.is_private else push.medicines)


def wording(kind: str, language: str, doses: int, medicines: Sequence[str]) -> tuple[str, str]:
    """Title and body of a push for so many doses, which names these medicines."""
    title, body = _private_text(kind, language, doses)
    if not medicines:
        return title, body
    return title, shorten(", ".join(medicines), MAX_BODY_LENGTH, placeholder=" …")


@lru_cache(maxsize=1024)
def _private_text(kind: str, language: str, count: int) -> tuple[str, str]:
    with translation.override(language):
        if kind == "test":
            return gettext("This is a test"), gettext("Reminders of your medicine reach this phone.")
        titles = {
            "due": gettext("Time for your medicine"),
            "snoozed": gettext("Time for the medicine you put off"),
            "follow_up": gettext("Have you taken your medicine?"),
        }
        body = ngettext("One dose is waiting for you.", "%(count)d doses are waiting for you.", count)
        return titles.get(kind, ""), body % {"count": count}
