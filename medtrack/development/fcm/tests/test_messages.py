"""Which messages the FCM stand-in accepts, and how it refuses the others."""

import json
import re
import time
from typing import Any

import pytest
from firebase_admin import messaging

from medtrack.development.fcm import oauth
from medtrack.development.fcm.identity import ensure_service_account
from medtrack.development.fcm.tests.client import SEND, message, post, send

# Accepting


def test_a_reminder_written_by_firebase_admin_is_accepted_and_recorded_as_received(standin, version, bearer):
    reply = send(standin, version, bearer)

    assert reply.status == 200
    assert re.fullmatch(r"projects/medtrack-local/messages/0:\d+%[0-9a-f]{16}", reply.content["name"])
    line = standin.ledger()[-1]
    assert list(line) == ["at", "status", "message", "name"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["at"])
    assert line == {"at": line["at"], "status": 200, "message": message(), "name": reply.content["name"]}


def test_the_ledger_contains_readable_text(standin, version, bearer):
    send(standin, version, bearer)

    assert "약 드실 시간이에요" in (standin.directory / "ledger.jsonl").read_text().splitlines()[-1]


def test_validate_only_is_answered_but_marked_in_the_ledger(standin, version, bearer):
    accepted = standin.state()["accepted"]

    reply = post(standin, version, {"validate_only": True, "message": message()}, bearer)

    assert reply.content == {"name": "projects/medtrack-local/messages/fake_message_id"}
    assert standin.ledger()[-1]["validate_only"] is True
    assert standin.state()["accepted"] == accepted


ALIVE = {
    "a token of one character": {"token": "x"},
    "a token of 4096 characters": {"token": "x" * 4096},
    "a Firebase installation id": {"token": None, "fid": "c1d2"},
    "a topic": {"token": None, "topic": "news"},
    "a condition": {"token": None, "condition": "'a' in topics"},
    "no notification": {"notification": None},
    "camelCase names": {"android": {"collapseKey": "due", "fcmOptions": {"analyticsLabel": "a"}}},
    "null for absent": {"webpush": None, "android": {"ttl": None}},
    "priority in capitals": {"android": {"priority": "HIGH"}},
    "no time to live": {"android": {"ttl": "0s"}},
    "the longest time to live": {"android": {"ttl": "2419200s"}},
    "a fractional time to live": {"android": {"ttl": "3.5s"}},
    "a data key that FCM only overrides": {"data": {"collapse_key": "x"}},
    "a collapse id of 64 bytes": {"apns": {"headers": {"apns-collapse-id": "é" * 32}}},
    "a payload of 4096 bytes": {
        "notification": None,
        "android": None,
        "apns": None,
        "data": {"k": "x" * 4095},
    },
    "escapes that are longer than what they mean": {"data": {"k": "약" * 1300}, "apns": None},
    "a web push": {"webpush": {"headers": {"TTL": "60"}, "fcm_options": {"link": "https://a.kr"}}},
}


@pytest.mark.parametrize("parts", ALIVE.values(), ids=ALIVE.keys())
def test_a_message_is_accepted_with(standin, bearer, parts):
    sent = message() | parts

    reply = send(standin, "HTTP/1.1", bearer, sent)

    assert (reply.status, standin.ledger()[-1]["message"]) == (200, sent)


def test_every_field_of_firebase_admin_is_accepted(standin, bearer):
    light = messaging.LightSettings(
        color="#aabbcc", light_on_duration_millis=200, light_off_duration_millis=1
    )
    android = messaging.AndroidNotification(
        title="t", body="b", icon="i", color="#112233", sound="s", tag="t", click_action="c",
        body_loc_key="k", body_loc_args=["a"], title_loc_key="k", title_loc_args=["a"], channel_id="c",
        image="https://a.kr/i", ticker="t", sticky=True, local_only=True, priority="max",
        vibrate_timings_millis=[100, 250], default_vibrate_timings=False, default_sound=True,
        light_settings=light, default_light_settings=False, visibility="private", notification_count=2,
        proxy="if_priority_lowered",
    )  # fmt: skip
    whole = messaging.Message(
        fid="c1d2",
        data={"a": "b"},
        notification=messaging.Notification("t", "b", "https://a.kr/i"),
        android=messaging.AndroidConfig(
            collapse_key="k", priority="normal", ttl=60, restricted_package_name="p", data={"a": "b"},
            notification=android, fcm_options=messaging.AndroidFCMOptions("label"), direct_boot_ok=True,
            bandwidth_constrained_ok=True, restricted_satellite_ok=True,
        ),
        webpush=messaging.WebpushConfig(
            headers={"TTL": "60"}, data={"a": "b"}, notification=messaging.WebpushNotification("t", "b"),
            fcm_options=messaging.WebpushFCMOptions("https://a.kr"),
        ),
        apns=messaging.APNSConfig(
            headers={"apns-priority": "10"},
            payload=messaging.APNSPayload(messaging.Aps(alert="a", badge=1), extra={"deep": [{"x": None}]}),
            fcm_options=messaging.APNSFCMOptions("label", "https://a.kr/i"), live_activity_token="l",
        ),
        fcm_options=messaging.FCMOptions("label"),
    )  # fmt: skip

    assert send(standin, "HTTP/2", bearer, json.loads(str(whole))).status == 200


# Refusing

TOO_BIG = {"data": {"k": "x" * 4096}, "notification": None, "android": None, "apns": None}


IA = "INVALID_ARGUMENT"


REFUSED: dict[str, tuple[dict[str, Any], str | None, str, str]] = {
    "no target": ({"token": None}, IA, "message", "Recipient of the message is not set."),
    "two targets": ({"topic": "news"}, None, "message", "oneof field 'target' is already set"),
    "an empty token": ({"token": ""}, IA, "message.token", "not a valid FCM"),
    "a token too long": ({"token": "x" * 4097}, IA, "message.token", "not a valid FCM"),
    "an invalid token": ({"token": "invalid-1"}, IA, "message.token", "not a valid FCM"),
    "a bad topic": ({"token": None, "topic": "a b"}, IA, "message.topic", "Invalid topic"),
    "an empty condition": ({"token": None, "condition": " "}, IA, "message.condition", "condition"),
    "an unknown name": ({"tokens": []}, None, "message", "Unknown name \"tokens\" at 'message'"),
    "an unknown name inside": ({"android": {"notification": {"badge": 1}}}, None,
                               "message.android.notification", "Unknown name \"badge\" at"),
    "a list for an object": ({"notification": []}, None, "message", "Proto field is not repeating"),
    "text for an object": ({"android": "x"}, None, "message.android", "fcm.v1.AndroidConfig), \"x\""),
    "a number as token": ({"token": 12}, None, "message.token", "at 'message.token' (TYPE_STRING), 12"),
    "a number in data": ({"data": {"a": "b", "n": 12}}, None, "message.data[1].value",
                         "Invalid value at 'message.data[1].value' (TYPE_STRING), 12"),
    "data that is no map": ({"data": "x"}, None, "message", "Unknown name \"data\""),
    "the data key from": ({"data": {"from": "x"}}, IA, "message.data", "payload key: from"),
    "the data key message_type": ({"data": {"message_type": "x"}}, IA, "message.data", "message_type"),
    "a data key of google": ({"data": {"google.x": "x"}}, IA, "message.data", "google.x"),
    "a data key of gcm": ({"data": {"gcm.x": "x"}}, IA, "message.data", "gcm.x"),
    "an android data key": ({"android": {"data": {"from": "x"}}}, IA, "message.android.data", "from"),
    "a payload too big": (TOO_BIG, IA, "message", "Android message is too big"),
    "a topic payload too big": ({"token": None, "topic": "n", "apns": None, "data": {"k": "x" * 2048}},
                                IA, "message", "too big"),
    "an APNs payload too big": ({"apns": {"payload": {"aps": {"alert": "x" * 4096}}}},
                                IA, "message", "APNs message is too big"),
    "a time to live without s": ({"android": {"ttl": "60"}}, None, "message.android.ttl", "must end with 's'"),
    "a number as time to live": ({"android": {"ttl": 60}}, None, "message.android.ttl", "Duration"),
    "a time to live too long": ({"android": {"ttl": "2419201s"}}, IA, "message.android.ttl", "2419200"),
    "a negative time to live": ({"android": {"ttl": "-1s"}}, IA, "message.android.ttl", "-1s"),
    "an unknown priority": ({"android": {"priority": "urgent"}}, None, "message.android.priority", "urgent"),
    "a number in APNs headers": ({"apns": {"headers": {"apns-priority": 10}}}, None,
                                 "message.apns.headers[0].value", "TYPE_STRING"),
    "a collapse id too long": ({"apns": {"headers": {"apns-collapse-id": "é" * 32 + "x"}}}, IA,
                               "message.apns.headers.apns-collapse-id", "apns-collapse-id"),
    "a date as APNs expiration": ({"apns": {"headers": {"apns-expiration": "tomorrow"}}}, IA,
                                  "message.apns.headers.apns-expiration", "tomorrow"),
    "an unknown APNs priority": ({"apns": {"headers": {"apns-priority": "7"}}}, IA,
                                 "message.apns.headers.apns-priority", "7"),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "code", "field", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_message_is_refused_with(standin, bearer, parts, code, field, words):
    sent = {name: part for name, part in (message() | parts).items() if part is not None}

    reply = send(standin, "HTTP/2", bearer, sent)

    error = reply.content["error"]
    assert (reply.status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert (reply.error_code, reply.fields) == (code, [field])
    assert words in error["message"]
    line = standin.ledger()[-1]
    assert (line["status"], line["message"], list(line)) == (400, sent, ["at", "status", "message"])


@pytest.mark.parametrize(
    "body",
    [b"hello", b"", b'{"message": ', b"[]", b'{"a": NaN}', b"\xff", b'{"message": {"token": "\\ud800"}}',
     b'{"message": 5}', b'{"message": null}', b"{}", b"[" * 100_000],
)  # fmt: skip
def test_a_body_without_a_readable_message_is_refused_and_recorded_as_null(standin, version, bearer, body):
    reply = post(standin, version, body, bearer)

    assert (reply.status, reply.content["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert (standin.ledger()[-1]["status"], standin.ledger()[-1]["message"]) == (400, None)


@pytest.mark.parametrize(
    ("device", "status", "name", "code"),
    [
        ("unregistered-1", 404, "NOT_FOUND", "UNREGISTERED"),
        ("sender-mismatch-1", 403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
        ("invalid-1", 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("malformed-1", 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ],
)
def test_the_start_of_a_device_token_chooses_the_refusal(
    standin, version, bearer, device, status, name, code
):
    reply = send(standin, version, bearer, message(device))

    assert (reply.status, reply.content["error"]["status"], reply.error_code) == (status, name, code)
    assert reply.fields == (["message.token"] if device.startswith("invalid-") else [])
    assert standin.ledger()[-1]["status"] == status


def test_a_send_without_a_token_is_unauthenticated(standin, version):
    reply = send(standin, version, None)

    assert (reply.status, reply.content["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert reply.error_code is None
    assert reply.headers["www-authenticate"].startswith("Bearer realm=")
    assert standin.ledger()[-1]["status"] == 401


@pytest.mark.parametrize("wrong", ["", "ya29.c.", "nonsense", "ya29.c.9999999999.AAAA", "ya29.c.x.y"])
def test_a_send_with_a_wrong_token_is_unauthenticated(standin, version, wrong):
    reply = send(standin, version, wrong)

    assert (reply.status, reply.error_code) == (401, None)
    assert "invalid authentication credentials" in reply.content["error"]["message"]


def test_a_send_with_an_expired_token_is_unauthenticated(standin, version):
    identity = ensure_service_account(standin.directory, project="medtrack-local", url=standin.url)
    an_hour_ago = time.time() - oauth.LIFETIME_SECONDS

    assert send(standin, version, oauth.issue(identity, now=an_hour_ago + 60)).status == 200
    assert send(standin, version, oauth.issue(identity, now=an_hour_ago - 60)).status == 401


def test_another_project_is_denied_by_iam_without_an_fcm_error(standin, version, bearer):
    reply = post(standin, version, {"message": message()}, bearer, path="/v1/projects/other/messages:send")

    assert (reply.status, reply.content["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert reply.error_code is None
    assert reply.detail("type.googleapis.com/google.rpc.ErrorInfo")["reason"] == "IAM_PERMISSION_DENIED"


@pytest.mark.parametrize("path", ["/", "/v1/projects/medtrack-local/messages", "/standin/other"])
def test_an_unknown_path_is_not_found_and_not_recorded(standin, version, bearer, path):
    lines = len(standin.ledger())

    assert post(standin, version, {}, bearer, path=path).status == 404
    assert len(standin.ledger()) == lines


@pytest.mark.parametrize(("method", "path"), [("GET", SEND), ("GET", "/token"), ("PUT", "/standin/faults")])
def test_a_wrong_method_is_not_allowed(standin, version, bearer, method, path):
    reply = post(standin, version, {}, bearer, path=path, method=method)

    assert reply.status == 405
    assert reply.headers["allow"]
