"""Start, signals, restarts and terminal lines of the FCM stand-in."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import h2.connection
import h2.events
import h2.settings
import pytest

from medtrack.development.fcm import console
from medtrack.development.fcm.process import FcmStandin
from medtrack.development.fcm.tests.client import (
    DEVICE,
    H2Client,
    access_token,
    message,
    send,
    tls,
    wait_until_hanging,
)


def test_every_answered_request_is_in_the_ledger_after_a_kill(tmp_path, version):
    running = FcmStandin.start(tmp_path)
    reply = send(running, version, access_token(running))
    running.kill()

    assert [line["name"] for line in running.ledger()] == [reply.content["name"]]


def test_a_restart_keeps_keys_tokens_and_ledger(tmp_path, version):
    with FcmStandin.start(tmp_path) as first:
        token = access_token(first)
        send(first, version, token)
        account, certificate = first.service_account, first.certificate_file.read_bytes()
        assert first.stop() == 0

    with FcmStandin.start(tmp_path) as second:
        assert send(second, version, token).status == 200
        assert len(second.ledger()) == 2
        assert second.certificate_file.read_bytes() == certificate
        assert second.service_account == account | {"token_uri": f"{second.url}/token"}


def test_an_incomplete_line_after_a_kill_is_removed(tmp_path):
    with FcmStandin.start(tmp_path) as first:
        send(first, "HTTP/2", access_token(first))
        first.kill()
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"at": "2026-01-01T00:00:00.000Z", "status": 200, "mess')

    with FcmStandin.start(tmp_path) as second:
        send(second, "HTTP/2", access_token(second))
        assert [line["status"] for line in second.ledger()] == [200, 200]


def test_the_keys_are_private_and_the_certificate_is_for_the_loopback(standin):
    for name in ("private-key.pem", "service-account.json"):
        assert (standin.directory / name).stat().st_mode & 0o777 == 0o600
    plain = socket.create_connection(("127.0.0.1", standin.port), timeout=20)
    with tls(standin).wrap_socket(plain, server_hostname="localhost") as secured:
        assert secured.version() == "TLSv1.3"


def test_the_stand_in_listens_on_the_loopback_only(standin):
    other = socket.gethostbyname_ex(socket.gethostname())[2]
    for address in {*other, "127.0.0.2"} - {"127.0.0.1"}:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, standin.port), timeout=20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sends_goaway_and_ends_the_process_with_status_zero(standin_of_its_own, number):
    standin = standin_of_its_own
    standin.arm("hang")
    client = H2Client(standin, access_token(standin))
    client.send({"message": message()})
    wait_until_hanging(standin, 1)

    standin.process.send_signal(number)

    assert client.wait_for(h2.events.ConnectionTerminated).error_code == 0
    assert standin.process.wait(20) == 0
    assert not (standin.directory / "endpoint").exists()
    assert standin.output() == f"FCM stand-in on {standin.url}\n"
    client.close()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "medtrack.development.fcm", *arguments]
    root = Path(__file__).resolve().parents[4]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)


def refused_start(result: subprocess.CompletedProcess[str]) -> str:
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    return result.stderr


def test_a_port_in_use_is_one_sentence(standin, tmp_path):
    result = run("--directory", str(tmp_path), "--port", str(standin.port))

    assert f"cannot listen on 127.0.0.1:{standin.port}" in refused_start(result)


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()

    assert "cannot write to" in refused_start(run("--directory", str(tmp_path / "file" / "inside")))


def test_a_directory_in_use_is_one_sentence_and_does_not_affect_the_first(standin_of_its_own):
    result = run("--directory", str(standin_of_its_own.directory))

    assert "in use by another FCM stand-in" in refused_start(result)
    assert (standin_of_its_own.directory / "endpoint").read_text() == standin_of_its_own.url
    assert standin_of_its_own.service_account["token_uri"] == f"{standin_of_its_own.url}/token"


def test_a_broken_service_account_is_one_sentence(tmp_path):
    (tmp_path / "service-account.json").write_text("{}")

    assert "Delete it to have a new one made" in refused_start(run("--directory", str(tmp_path)))


# The terminal


def test_each_accepted_push_is_printed_as_a_line(tmp_path):
    with FcmStandin.start(tmp_path, quiet=False) as running:
        bearer = access_token(running)
        for device in (DEVICE, "unregistered-1"):
            send(running, "HTTP/2", bearer, message(device))
        running.stop()

    first, *pushes = running.output().splitlines()
    assert first == f"FCM stand-in on {running.url}"
    assert pushes == [
        "push accepted  android+ios  demo-device-…  약 드실 시간이에요 — 오전 8시  (due, 2 doses)"
    ]


@pytest.mark.parametrize(
    ("pushed", "line"),
    [
        ({"token": "t"}, "push accepted  any  t  silent data push"),
        ({"topic": "n", "data": {"kind": "withdraw"}}, "push accepted  any  n  silent data push  (withdraw)"),
        ({"token": "t", "data": {"dose_ids": "a"}}, "push accepted  any  t  silent data push  (1 dose)"),
        ({"token": "t", "data": {"dose_ids": ""}, "webpush": {"a": 1}}, "push accepted  web  t  silent data push"),
        ({"token": "t", "notification": {"body": "b\x1b[2J"}}, "push accepted  any  t  b [2J"),
        ({"token": "t", "notification": None, "data": None}, "push accepted  any  t  silent data push"),
    ],
)  # fmt: skip
def test_a_push_with_missing_parts_is_still_a_line(pushed, line):
    assert console.line(pushed) == line
