"""HTTP/1.1 and HTTP/2 of the FCM stand-in."""

import asyncio
import json
import re
import socket
from http.client import HTTPSConnection

import h2.connection
import h2.events
import h2.settings
import httpx

from medtrack.development.fcm.tests.client import (
    DEVICE,
    SEND,
    message,
    send,
    tls,
    wait_until,
    wait_until_hanging,
)


def test_http1_keeps_the_connection_for_the_next_request(standin, bearer):
    connection = HTTPSConnection("127.0.0.1", standin.port, context=tls(standin), timeout=20)
    connection.connect()
    used = connection.sock
    for _ in range(3):
        connection.request(
            "POST", SEND, json.dumps({"message": message()}), {"Authorization": f"Bearer {bearer}"}
        )
        assert json.loads(connection.getresponse().read())["name"]
    assert connection.sock is used
    connection.close()


def test_http1_answers_pipelined_requests_in_order(standin, bearer):
    request = f"POST {SEND} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\nContent-Length: "
    bodies = [json.dumps({"message": message(device)}) for device in (DEVICE, "unregistered-1", DEVICE)]
    with tls(standin).wrap_socket(
        socket.create_connection(("127.0.0.1", standin.port), timeout=20), server_hostname="127.0.0.1"
    ) as connection:
        connection.sendall("".join(f"{request}{len(body)}\r\n\r\n{body}" for body in bodies).encode())
        received = b""
        while received.count(b"HTTP/1.1 ") < 3:
            received += connection.recv(65536)
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"404", b"200"]


def test_malformed_http1_is_refused(standin):
    with tls(standin).wrap_socket(
        socket.create_connection(("127.0.0.1", standin.port), timeout=20), server_hostname="127.0.0.1"
    ) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")


def test_a_large_body_is_read_completely(standin, version, bearer):
    reply = send(standin, version, bearer, message(data={"k": "x" * 3_000_000}))

    assert (reply.status, reply.content["error"]["message"]) == (400, "Android message is too big")
    assert len(standin.ledger()[-1]["message"]["data"]["k"]) == 3_000_000


def test_http2_allows_a_hundred_streams_like_fcm(h2_client):
    h2_client.wait_for(h2.events.RemoteSettingsChanged)

    assert h2_client.http.remote_settings.max_concurrent_streams == 100


def test_http2_refuses_the_stream_after_the_hundredth_and_keeps_the_connection(standin, h2_client):
    standin.arm("hang", times=100)
    h2_client.http.remote_settings.max_concurrent_streams = 200

    streams = [h2_client.send({"message": message()}) for _ in range(101)]

    refused = h2_client.wait_for(h2.events.StreamReset)
    assert (refused.stream_id, refused.error_code) == (streams[-1], 7)
    wait_until_hanging(standin, 100)


def test_http2_sends_no_more_than_the_window_of_the_client_allows(standin, h2_client):
    http = h2_client.http
    http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    h2_client.flush()
    events = h2_client.events()
    next(event for event in events if getattr(event, "changed_settings", {}).keys() == {4})
    stream_id = h2_client.send({"message": message()})
    next(event for event in events if isinstance(event, h2.events.ResponseReceived))

    received = b""
    while not received.endswith(b"}\n"):
        http.increment_flow_control_window(10, stream_id)
        h2_client.flush()
        chunk = next(event for event in events if isinstance(event, h2.events.DataReceived)).data
        assert 0 < len(chunk) <= 10
        received += chunk
    assert json.loads(received)["name"] == standin.ledger()[-1]["name"]


def test_http2_answers_a_ping(h2_client):
    h2_client.http.ping(b"12345678")
    h2_client.flush()

    assert h2_client.wait_for(h2.events.PingAckReceived).ping_data == b"12345678"


def test_http2_continues_after_a_stream_that_the_client_reset(h2_client):
    stream_id = h2_client.http.get_next_available_stream_id()
    h2_client.http.send_headers(stream_id, h2_client.headers)
    h2_client.http.send_data(stream_id, b"{")
    h2_client.http.reset_stream(stream_id)

    answered = h2_client.send({"message": message()})

    assert h2_client.wait_for(h2.events.ResponseReceived).stream_id == answered


def test_http2_closes_a_connection_with_a_protocol_error(standin):
    context = tls(standin)
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", standin.port), timeout=20), server_hostname="127.0.0.1"
    ) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while connection.recv(65536):
            pass
    assert standin.state()


def test_accepted_pushes_without_an_answer_are_counted_after_a_close(standin, h2_client):
    standin.set_latency(0.05)
    standin.arm("close", token="demo-device-2")
    lost, lines = standin.state()["answers_lost"], len(standin.ledger())
    for device in [DEVICE] * 20 + ["demo-device-2"] + [DEVICE] * 20:
        h2_client.send({"message": message(device)})

    answered = sum(isinstance(event, h2.events.ResponseReceived) for event in h2_client.events())

    # What was late when the connection closed is counted a moment later.
    accepted = [line for line in standin.ledger()[lines:] if line["status"] == 200]
    wait_until(lambda: answered + standin.state()["answers_lost"] - lost == len(accepted))


def test_two_thousand_concurrent_sends_are_each_in_the_ledger_once(standin, bearer):
    async def send_all() -> list[int]:
        limits = httpx.Limits(max_connections=4)
        async with httpx.AsyncClient(
            http1=False, http2=True, verify=tls(standin), timeout=60, limits=limits, trust_env=False
        ) as client:
            headers = {"authorization": f"Bearer {bearer}"}
            bodies = [{"message": message(data={"burst": str(number)})} for number in range(2000)]
            answers = [client.post(standin.url + SEND, json=body, headers=headers) for body in bodies]
            return [answer.status_code for answer in await asyncio.gather(*answers)]

    assert set(asyncio.run(send_all())) == {200}
    burst = [
        line["message"].get("data", {}).get("burst") for line in standin.ledger() if line["status"] == 200
    ]
    assert sorted(int(number) for number in burst if number) == list(range(2000))
