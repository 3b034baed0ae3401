"""The contenders of bench/push.py, which runs each in a process of its own.

Arguments: the contender, the number of messages and the number before the measurement. Prints one line of JSON:
seconds, CPU seconds and peak memory in MB.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import firebase_admin
import google.oauth2.credentials
from firebase_admin import credentials, messaging

from notifications.transports.fcm import FcmTransport

URL, PROJECT = os.environ["BENCH_URL"], os.environ["BENCH_PROJECT"]
FCM = "https://fcm.googleapis.com"
CHUNK = 500  # as many as send_each takes

Job = Callable[[int], int]  # sends that many messages and returns how many were accepted


class StaticCredential(credentials.Base):
    """A fixed access token, so that only sending is measured."""

    def get_credential(self) -> google.oauth2.credentials.Credentials:
        return google.oauth2.credentials.Credentials(os.environ["BENCH_TOKEN"])


def message(number: int) -> messaging.Message:
    """Returns a message of about 400 bytes of JSON, like a reminder for Android."""
    return messaging.Message(
        token=f"{number:0152}",
        data={"kind": "due", "notification_id": "0199a1b2-0000-7000-8000-0123456789ab"},
        notification=messaging.Notification(
            title="Time for your medicine", body="One dose is waiting for you."
        ),
        android=messaging.AndroidConfig(priority="high", collapse_key="due"),
    )


def firebase() -> None:
    """Makes firebase-admin send to the local server, with its own connection pool."""
    app = firebase_admin.initialize_app(StaticCredential(), {"projectId": PROJECT})
    service = messaging._get_messaging_service(app)
    service._fcm_url = service._fcm_url.replace(FCM, URL)
    session = service._client.session
    session.mount(URL, session.adapters[FCM])


def send_each(count: int) -> Job:
    firebase()
    messages = [message(number) for number in range(count)]

    def send(number: int) -> int:
        chunks = (messages[start : start + CHUNK] for start in range(0, number, CHUNK))
        return sum(messaging.send_each(chunk).success_count for chunk in chunks)

    return send


def send_each_async(count: int) -> Job:
    firebase()
    messages = [message(number) for number in range(count)]
    loop = asyncio.new_event_loop()

    async def send(number: int) -> int:
        accepted = 0
        for start in range(0, number, CHUNK):
            answer = await messaging.send_each_async(messages[start : start + CHUNK], dry_run=False)
            accepted += answer.success_count
        return accepted

    return lambda number: loop.run_until_complete(send(number))


def fcm_django(count: int) -> Job:
    """Sends one message to the devices of a queryset, as its documentation does. The devices are in SQLite in memory."""
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "fcm_django"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    from django.core.management import call_command
    from fcm_django.models import FCMDevice

    call_command("migrate", verbosity=0)
    firebase()
    FCMDevice.objects.bulk_create(
        [FCMDevice(registration_id=message(number).token, type="android") for number in range(count)],
        batch_size=1_000,
    )
    template = message(0)
    template.token = None

    def send(number: int) -> int:
        answer = FCMDevice.objects.filter(id__lte=number).send_message(template)
        return sum(response.success for response in answer.response.responses)

    return send


def medtrack(count: int) -> Job:
    transport = transport_to_server()
    messages = [message(number) for number in range(count)]

    def send(number: int) -> int:
        return send_encoded(transport, (b'{"message":%b}' % str(one).encode() for one in messages[:number]))

    return send


def medtrack_encoded(count: int) -> Job:
    """Submits encoded messages, as the dispatcher does."""
    transport = transport_to_server()
    bodies = [b'{"message":%b}' % str(message(number)).encode() for number in range(count)]

    def send(number: int) -> int:
        return send_encoded(transport, bodies[:number])

    return send


def send_encoded(transport: FcmTransport, bodies: Iterable[bytes]) -> int:
    latest = time.monotonic() + 600
    for key, body in enumerate(bodies):
        transport.submit(key, body, latest=latest)
    accepted = 0
    while transport.pending:
        accepted += sum(bool(outcome.message_id) for _, outcome in transport.turn(1.0))
    return accepted


def transport_to_server() -> FcmTransport:
    return FcmTransport(
        StaticCredential(), project_id=PROJECT, endpoint=URL, ca_file=os.environ["BENCH_CA_FILE"], timeout=60
    )


CONTENDERS = {f.__name__: f for f in (send_each, send_each_async, fcm_django, medtrack, medtrack_encoded)}


def measure(job: Job, count: int, warm_up: int) -> dict[str, Any]:
    job(min(count, warm_up))
    started, cpu = time.perf_counter(), time.process_time()
    accepted = job(count)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    if accepted != count:
        raise SystemExit(f"{accepted} of {count} messages were accepted")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu": cpu, "memory": memory}


if __name__ == "__main__":
    name, count, warm_up = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(measure(CONTENDERS[name](count), count, warm_up)))
