"""The faults that tests can arm in the FCM stand-in."""

import re

import pytest

from medtrack.development.fcm import control
from medtrack.development.fcm.faults import KINDS
from medtrack.development.fcm.tests.client import (
    DEVICE,
    H2Client,
    NoAnswerError,
    access_token,
    in_background,
    message,
    send,
    wait_until,
    wait_until_hanging,
)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("429", 429, "QUOTA_EXCEEDED"),
        ("429-project", 429, None),
        ("500", 500, "INTERNAL"),
        ("503", 503, "UNAVAILABLE"),
        ("404", 404, "UNREGISTERED"),
        ("401", 401, "THIRD_PARTY_AUTH_ERROR"),
    ],
)
@pytest.mark.parametrize("retry_after", [None, 7])
def test_a_fault_with_an_answer_sends_it_and_accepts_nothing(
    standin, version, bearer, fault, status, code, retry_after
):
    standin.arm(fault, times=2, retry_after=retry_after)
    accepted = standin.state()["accepted"]

    replies = [send(standin, version, bearer) for _ in range(3)]

    assert [reply.status for reply in replies] == [status, status, 200]
    assert replies[0].error_code == code
    assert replies[0].headers.get("retry-after") == (retry_after and str(retry_after))
    assert "retry-after" not in replies[2].headers
    assert [line["status"] for line in standin.ledger()[-3:]] == [status, status, 200]
    assert not any("answer" in line for line in standin.ledger()[-3:])
    assert standin.state()["accepted"] == accepted + 1


@pytest.mark.parametrize(("fault", "status"), [("close", None), ("accept-then-close", 200)])
def test_a_fault_that_closes_the_connection_sends_no_answer(standin, version, bearer, fault, status):
    standin.arm(fault)
    before = standin.state()

    with pytest.raises(NoAnswerError):
        send(standin, version, bearer)

    line = standin.ledger()[-1]
    assert (line["status"], line["message"]) == (status, message())
    assert ("name" in line, line.get("answer", "none")) == ((True, None) if status else (False, "none"))
    assert standin.state()["answers_lost"] - before["answers_lost"] == (1 if status else 0)
    assert send(standin, version, bearer).status == 200


@pytest.mark.parametrize(("fault", "status"), [("hang", None), ("accept-then-hang", 200)])
def test_a_hanging_fault_never_answers_and_is_released_when_faults_are_cleared(
    standin, version, bearer, fault, status
):
    standin.arm(fault)

    hanging = in_background(send, standin, version, bearer)
    wait_until_hanging(standin, 1)

    assert standin.ledger()[-1]["status"] == status
    standin.clear_faults()
    with pytest.raises(NoAnswerError):
        hanging.result(20)
    assert standin.state()["hanging"] == 0


def test_a_hanging_fault_ends_by_itself_after_its_seconds(standin, version, bearer):
    standin.arm("hang", seconds=0.05)

    with pytest.raises(NoAnswerError):
        send(standin, version, bearer)


def test_a_disconnected_client_no_longer_counts_as_hanging(standin, bearer):
    standin.arm("hang", times=2)
    client = H2Client(standin, bearer)
    first, _second = client.send({"message": message()}), client.send({"message": message()})
    wait_until_hanging(standin, 2)

    client.http.reset_stream(first)
    client.flush()
    wait_until_hanging(standin, 1)
    client.close()
    wait_until_hanging(standin, 0)


def test_accept_then_503_is_recorded_as_accepted_and_answered_503(standin, version, bearer):
    standin.arm("accept-then-503", retry_after=3)

    reply = send(standin, version, bearer)

    assert (reply.status, reply.error_code, reply.headers["retry-after"]) == (503, "UNAVAILABLE", "3")
    line = standin.ledger()[-1]
    assert list(line) == ["at", "status", "message", "name", "answer"]
    assert (line["status"], line["answer"]) == (200, 503)


def test_faults_apply_in_the_order_in_which_they_were_armed(standin, version, bearer):
    for fault in ("503", "429", "500"):
        standin.arm(fault)

    assert [send(standin, version, bearer).status for _ in range(4)] == [503, 429, 500, 200]


def test_a_fault_for_one_device_does_not_affect_others(standin, version, bearer):
    standin.arm("404", token="demo-device-2")

    replies = [send(standin, version, bearer, message(device)) for device in (DEVICE, "demo-device-2")]

    assert [reply.status for reply in replies] == [200, 404]


def test_an_accepting_fault_waits_for_a_message_that_fcm_would_accept(standin, version, bearer):
    standin.arm("accept-then-503")

    assert send(standin, version, bearer, message("unregistered-1")).status == 404
    assert send(standin, version, bearer).status == 503


def test_a_request_without_a_token_consumes_no_fault(standin, version, bearer):
    standin.arm("503")

    assert send(standin, version, None).status == 401
    assert standin.state()["faults"] == [
        {"fault": "503", "times": 1, "retry_after": None, "token": None, "seconds": None}
    ]


def test_the_state_contains_the_counts(standin, version, bearer):
    before = standin.state()

    send(standin, version, bearer)
    send(standin, version, bearer, message("unregistered-1"))

    after = standin.state()
    assert (after["requests"] - before["requests"], after["accepted"] - before["accepted"]) == (2, 1)


def test_latency_delays_the_answer_and_not_the_ledger(standin_of_its_own, version):
    standin = standin_of_its_own
    standin.set_latency(600)
    late = in_background(send, standin, version, access_token(standin))
    wait_until(lambda: len(standin.ledger()) == 1)

    assert not late.done()
    assert standin.state()["latency_seconds"] == 600
    assert standin.stop() == 0
    assert late.result(20).status == 200


@pytest.mark.parametrize(
    ("method", "path", "content", "words"),
    [
        ("POST", "/standin/faults", {"fault": "418"}, "fault must be one of: 429,"),
        ("POST", "/standin/faults", {"fault": ["503"]}, "fault must be one of"),
        ("POST", "/standin/faults", {}, "fault must be one of"),
        ("POST", "/standin/faults", [], "must be a JSON object"),
        ("POST", "/standin/faults", {"fault": "503", "time": 1}, "Unknown key 'time'"),
        ("POST", "/standin/faults", {"fault": "503", "times": 0}, "times must be a whole number"),
        ("POST", "/standin/faults", {"fault": "503", "times": True}, "times must be a whole number"),
        ("POST", "/standin/faults", {"fault": "503", "retry_after": -1}, "retry_after must be"),
        ("POST", "/standin/faults", {"fault": "close", "retry_after": 1}, "cannot have retry_after"),
        ("POST", "/standin/faults", {"fault": "503", "seconds": 1}, "only for faults that hang"),
        ("POST", "/standin/faults", {"fault": "503", "token": ""}, "token must be"),
        ("PUT", "/standin/latency", {"seconds": "1"}, "seconds must be a number"),
        ("PUT", "/standin/latency", {}, "seconds must be a number"),
    ],
)
def test_the_answer_to_an_invalid_control_request_says_what_is_wrong(standin, method, path, content, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        standin.control(method, path, content)
    assert standin.state()["faults"] == []


def test_a_control_request_must_be_json():
    with pytest.raises(control.ControlError, match="must be JSON"):
        control.read_fault(b"fault=503")


def test_every_fault_of_the_table_has_a_test():
    assert list(KINDS) == [
        "429", "429-project", "500", "503", "404", "401", "close", "hang",
        "accept-then-503", "accept-then-close", "accept-then-hang",
    ]  # fmt: skip
