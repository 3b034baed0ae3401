"""Links by mail: confirming an e-mail, choosing a new password, and hiding which e-mails have accounts."""

import json
import re
import socket
import socketserver
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from email.message import Message
from threading import Barrier, Thread
from uuid import UUID, uuid4

import pytest
import redis
from celery import current_app
from celery.exceptions import Retry
from django.core import mail
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from rest_framework.exceptions import ValidationError

from medtrack.development.services.ports import free_port
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import PASSWORD, person
from users import tasks
from users.actions import Credentials, log_in
from users.actions.accounts import InvalidCredentials
from users.actions.emails import verify_email
from users.actions.passwords import reset_password
from users.links import EmailLink, InvalidLink, PasswordLink
from users.models import Session, User

NEW = "another horse battery"
HOUR = timedelta(hours=1)


@pytest.fixture
def queue(settings: Settings, worker_id: str) -> Iterator["redis.Redis"]:
    """A broker that no other test process speaks to, and whose queue of mails no worker empties."""
    # Each of pytest's workers, gw0, gw1, …, has a database of its own; without workers the id is "master".
    number = int(worker_id.removeprefix("gw")) if worker_id != "master" else 0
    url = f"{settings.REDIS_URL.rsplit('/', 1)[0]}/{15 - number}"
    store = redis.Redis.from_url(url)
    store.delete("mail")
    current_app.conf.broker_write_url = url
    yield store
    current_app.conf.broker_write_url = None
    store.delete("mail")


@pytest.fixture(params=["refuses", "says nothing"])
def no_broker(request: pytest.FixtureRequest) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = free_port() if request.param == "refuses" else silent.getsockname()[1]
        current_app.conf.broker_write_url = f"redis://127.0.0.1:{port}/0"
        yield
        current_app.conf.broker_write_url = None


def forgot(email: str) -> "tuple[int, bytes]":
    answer = Client().post("/api/v1/auth/password/forgot", {"email": email}, format="json")
    return answer.status_code, answer.content


def token_in(message: object) -> str:
    found = re.search(r"https://app\.example\.org/\S+\?token=(\S+)", str(getattr(message, "body", "")))
    assert found
    return found[1]


def test_a_forgotten_password_is_replaced_by_the_link_of_a_mail(ana: Credentials, mail_worker: None) -> None:
    log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    assert forgot("ANA@example.com") == (202, b"")
    (letter,) = mail.outbox
    assert letter.to == ["ana@example.com"]
    assert "https://app.example.org/password/reset?token=" in letter.body
    body = {"token": token_in(letter), "password": NEW}
    assert Client().post("/api/v1/auth/password/reset", body, format="json").status_code == 204
    assert not Session.objects.filter(revoked_at=None).exists()
    assert log_in(email="ana@example.com", password=NEW, now=timezone.now()).user.email_verified_at
    with pytest.raises(InvalidCredentials):
        log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    again = Client().post("/api/v1/auth/password/reset", body, format="json")
    assert (again.status_code, again.json()["type"]) == (400, "InvalidLink")


def test_forgot_password_does_not_show_which_emails_have_accounts(
    ana: Credentials, queue: "redis.Redis"
) -> None:
    User.objects.filter(id=person("Ben").user.id).update(is_active=False)
    emails = ["ana@example.com", "nobody@example.com", "ben@example.com"]
    assert {forgot(email) for email in emails} == {(202, b"")}
    messages = [json.loads(message) for message in queue.lrange("mail", 0, -1)[::-1]]
    told = [json.loads(b64decode(message["body"]))[0] for message in messages]
    assert [len(arguments) for arguments in told] == [1, 1, 1]
    ids = [UUID(arguments[0]) for arguments in told]
    assert ids[0] == ana.user.id
    assert not User.objects.filter(id__in=ids[1:]).exists()
    assert {UUID(str(user_id)).version for user_id in ids} == {7}
    assert "example.com" not in str(messages) + str(told)
    assert {frozenset(message["headers"]["__django_structlog__"]) for message in messages} == {
        frozenset({"request_id"})
    }


@pytest.mark.parametrize("email", ["ana@example.com", "nobody@example.com"])
def test_without_a_broker_the_response_is_the_same_for_all_emails(
    ana: Credentials, no_broker: None, email: str
) -> None:
    status, body = forgot(email)
    assert (status, json.loads(body)["type"]) == (503, "MailUnavailable")


def test_signing_up_works_without_a_broker(as_nobody: Client, no_broker: None) -> None:
    new = {"email": "dora@example.com", "password": PASSWORD}
    assert as_nobody.post("/api/v1/auth/signup", new, format="json").status_code == 201


def test_a_link_expires(ana: Credentials) -> None:
    now = timezone.now()
    for kind, lifetime in ((PasswordLink, HOUR), (EmailLink, 72 * HOUR)):
        token = kind(now=now).token(ana.user)
        assert kind(now=now + lifetime - timedelta(seconds=2)).user(token) == ana.user
        with pytest.raises(InvalidLink):
            kind(now=now + lifetime + timedelta(seconds=2)).user(token)


def test_a_link_is_valid_for_one_purpose_and_one_user(ana: Credentials, ben: Credentials) -> None:
    now = timezone.now()
    password, email = PasswordLink(now=now), EmailLink(now=now)
    proof = password.token(ana.user).partition("-")[2]
    for link, token in (
        (email, password.token(ana.user)),
        (password, email.token(ana.user)),
        (password, f"{ben.user.id.hex}-{proof}"),
        (password, f"{uuid4().hex}-{proof}"),
    ):
        with pytest.raises(InvalidLink):
            link.user(token)


@pytest.mark.parametrize(
    "token", ["x", "-", "é-é-é", "a" * 128, f"{'0' * 32}-x-y", f"{'0' * 32}-{'z' * 13}-y"]
)
@pytest.mark.parametrize("path", ["password/reset", "email/verify"])
def test_a_malformed_link_is_refused(as_nobody: Client, ana: Credentials, path: str, token: str) -> None:
    for written in (token, token.replace(token[:32], ana.user.id.hex) if len(token) > 32 else token):
        body = {"token": written} | ({"password": NEW} if path == "password/reset" else {})
        answer = as_nobody.post(f"/api/v1/auth/{path}", body, format="json")
        assert (answer.status_code, answer.json()["type"]) == (400, "InvalidLink")


def test_changing_the_email_makes_a_password_link_invalid(ana: Credentials) -> None:
    token = PasswordLink(now=timezone.now()).token(ana.user)
    User.objects.update(email="new@example.com")
    with pytest.raises(InvalidLink):
        reset_password(token=token, password=NEW, now=timezone.now())


def test_a_weak_new_password_is_refused_and_the_link_stays_valid(ana: Credentials) -> None:
    token = PasswordLink(now=timezone.now()).token(ana.user)
    with pytest.raises(ValidationError) as refused:
        reset_password(token=token, password="ana@example.com", now=timezone.now())
    assert set(refused.value.detail) == {"password"}
    reset_password(token=token, password=NEW, now=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_of_two_uses_of_a_link_at_once_one_wins() -> None:
    token = PasswordLink(now=timezone.now()).token(person("Ana").user)
    start = Barrier(2)

    def use(password: str) -> str:
        try:
            connection.ensure_connection()
            start.wait()
            reset_password(token=token, password=password, now=timezone.now())
        except InvalidLink:
            return ""
        else:
            return password
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        (winner,) = filter(None, pool.map(use, [f"{NEW} 1", f"{NEW} 2"]))
    assert log_in(email="ana@example.com", password=winner, now=timezone.now())


def test_signing_up_mails_a_link_that_confirms_the_email(as_nobody: Client, mail_worker: None) -> None:
    new = {"email": "dora@example.com", "password": PASSWORD, "language": "en"}
    user = as_nobody.post("/api/v1/auth/signup", new, format="json").json()["user"]
    assert user["email_verified_at"] is None
    body = {"token": token_in(mail.outbox[0])}
    assert as_nobody.post("/api/v1/auth/email/verify", body, format="json").status_code == 204
    assert User.objects.get().email_verified_at is not None
    again = as_nobody.post("/api/v1/auth/email/verify", body, format="json")
    assert (again.status_code, again.json()["type"]) == (400, "InvalidLink")


def test_changing_the_email_makes_a_confirmation_link_invalid(ana: Credentials) -> None:
    token = EmailLink(now=timezone.now()).token(ana.user)
    User.objects.update(email="new@example.com")
    with pytest.raises(InvalidLink):
        verify_email(token=token, now=timezone.now())


def test_the_confirmation_mail_can_be_requested_again_until_the_email_is_confirmed(
    as_ana: Client, mail_worker: None
) -> None:
    path = "/api/v1/auth/email/send-verification"
    assert as_ana.post(path).status_code == 202
    verify_email(token=token_in(mail.outbox[0]), now=timezone.now())
    refused = as_ana.post(path)
    assert (refused.status_code, refused.json()["type"]) == (409, "NothingToVerify")
    User.objects.update(email=None, email_verified_at=None)
    assert as_ana.post(path).status_code == 409
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(
    ("language", "subjects"),
    [
        ("ko", ["MedTrack 새 비밀번호", "MedTrack 이메일 확인"]),
        ("en", ["Your new MedTrack password", "Confirm your e-mail for MedTrack"]),
        ("ja", ["MedTrackの新しいパスワード", "MedTrackのメールアドレス確認"]),
    ],
)
def test_a_mail_is_in_the_users_language(
    db: None, mail_worker: None, language: str, subjects: list[str]
) -> None:
    user = person("Ana", language=language).user
    tasks.send_password_link.delay(str(user.id))
    tasks.send_email_link.delay(str(user.id))
    assert [letter.subject for letter in mail.outbox] == subjects
    for letter in mail.outbox:
        message: Message = letter.message()
        assert message["Auto-Submitted"] == "auto-generated"
        assert len(letter.body) < 400
        token_in(letter)


def test_unknown_ids_and_users_without_an_email_get_no_mail(ana: Credentials, mail_worker: None) -> None:
    User.objects.update(email=None)
    for user_id in (uuid4(), ana.user.id):
        tasks.send_password_link.delay(str(user_id))
        tasks.send_email_link.delay(str(user_id))
    assert mail.outbox == []


@pytest.mark.parametrize("missing", ["EMAIL_URL", "APP_URL"])
def test_a_missing_mail_setting_is_logged_without_the_user(
    ana: Credentials, mail_worker: None, settings: Settings, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    setattr(settings, missing, "")
    tasks.send_password_link.delay(str(ana.user.id))
    assert mail.outbox == []
    assert "mail not sent" in caplog.text
    assert missing in caplog.text
    assert "ana@" not in caplog.text


def test_sending_is_retried_while_the_mail_server_is_unreachable(
    ana: Credentials, mail_worker: None, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    current_app.conf.task_eager_propagates = False
    asked = []

    class Busy(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(1)
            self.wfile.write(b"421 busy\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Busy) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.server_address[1]
        with suppress(Retry):
            tasks.send_password_link.apply((str(ana.user.id),))
        server.shutdown()
    assert len(asked) == 5


def test_the_last_request_gets_a_valid_link_and_mails_are_limited(
    ana: Credentials, queue: "redis.Redis"
) -> None:
    now = timezone.now()
    assert {forgot("ana@example.com") for _ in range(30)} == {(202, b"")}
    messages = [json.loads(message)["headers"] for message in queue.lrange("mail", 0, -1)[::-1]]
    # Three at once, and one in five minutes that answers all the others with a link made then.
    at_once, later = messages[:3], messages[3:]
    assert [each["eta"] for each in at_once] == [None] * 3
    (last,) = later
    minutes = (datetime.fromisoformat(last["eta"]) - now) / timedelta(minutes=1)
    assert 4 < minutes < 6
    assert datetime.fromisoformat(last["expires"]) > datetime.fromisoformat(last["eta"]) + HOUR / 2
    # A mail of another kind does not replace it, and an unknown address behaves in the same way.
    for _ in range(30):
        forgot("nobody@example.com")
        Client(ana).post("/api/v1/auth/email/send-verification")
    assert queue.llen("mail") == 3 * 4


def test_repeated_sign_ups_do_not_flood_a_mailbox(db: None, queue: "redis.Redis") -> None:
    for _ in range(6):
        person("Dora")
        client = Client(log_in(email="dora@example.com", password=PASSWORD, now=timezone.now()))
        assert client.delete("/api/v1/me", {"password": PASSWORD}, format="json").status_code == 204
        new = {"email": "dora@example.com", "password": PASSWORD}
        answer = Client().post("/api/v1/auth/signup", new, format="json")
        assert answer.status_code == 201
        User.objects.filter(email="dora@example.com").delete()
    # Three at once, one that is booked, and one more because the account is another.
    assert queue.llen("mail") == 5
