"""What a push says: a localised text that hides the medicine unless asked not to, and data that is ids only."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from textwrap import shorten
from uuid import UUID

from django.utils import translation
from django.utils.translation import gettext, ngettext
from firebase_admin import messaging

from notifications.queue import Push

# FCM takes 4,096 bytes; a name of 200 Korean letters alone is 600 of them.
MAX_BODY_LENGTH = 160
MAX_DOSE_IDS = 50
MAX_TTL = timedelta(seconds=2_419_200)


def messages(push: Push, *, now: datetime) -> Iterator[tuple[UUID, messaging.Message]]:
    """One FCM message per device of the push, by device id. `now` is UTC, for the time to live."""
    title, body = text(push)
    tag = str(push.tag)
    ttl = min(max(push.expires_at - now, timedelta(0)), MAX_TTL)
    data = {
        "kind": push.kind,
        "notification_id": str(push.notification_ids[0]),
        "dose_ids": ",".join(str(dose_id) for dose_id in push.dose_ids[:MAX_DOSE_IDS]),
    }
    notification = messaging.Notification(title=title, body=body)
    android = messaging.AndroidConfig(
        priority="high",
        ttl=ttl,
        collapse_key=push.kind,
        notification=messaging.AndroidNotification(tag=tag),
    )
    apns = messaging.APNSConfig(
        headers={
            "apns-priority": "10",
            "apns-expiration": str(int(push.expires_at.timestamp())),
            "apns-collapse-id": tag,
        },
        payload=messaging.APNSPayload(aps=messaging.Aps(sound="default")),
    )
    webpush = messaging.WebpushConfig(
        headers={"TTL": str(int(ttl.total_seconds())), "Urgency": "high"},
        notification=messaging.WebpushNotification(tag=tag, renotify=True),
    )
    for device in push.devices.values():
        yield (
            device.id,
            messaging.Message(
                token=device.token,
                data=data,
                notification=notification,
                android=android,
                apns=apns,
                webpush=webpush,
            ),
        )


def text(push: Push) -> tuple[str, str]:
    """Title and body in the person's language."""
    count = len(push.dose_ids)
    with translation.override(push.language):
        if push.kind == "follow_up":
            title = gettext("Have you taken your medicine?")
        else:
            title = gettext("Time for your medicine")
        if push.is_private:
            body = ngettext("One dose is waiting for you.", "%(count)d doses are waiting for you.", count) % {
                "count": count
            }
        else:
            body = shorten(", ".join(push.medicines), MAX_BODY_LENGTH, placeholder=" …")
    return title, body
