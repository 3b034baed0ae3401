"""Our side of HTTP/2 against the `h2` library as the server, in memory: whatever it does, each request lands once."""

import pytest
from h2.settings import SettingCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from notifications.tests.http2_peer import answer, connected, headers, talk
from notifications.transports.http2 import LARGEST_BODY, Connection


def test_from_the_second_request_the_headers_are_a_few_bytes() -> None:
    client, server = connected()
    sizes = []
    for number in range(4):
        client.start(headers("x" * 1024 if number < 2 else "y" * 1024), b"", number, 0.0)
        data = client.take()
        sizes.append(len(data))
        server.receive(data)
    assert sizes[0] > 500
    assert sizes[2] > 500
    assert sizes[1] == sizes[3] == 9 + 6 + 9
    assert [dict(fields)[b"authorization"][7:8] for fields in server.headers.values()] == [
        b"x",
        b"x",
        b"y",
        b"y",
    ]


def test_a_table_that_is_too_small_for_the_token_is_not_used() -> None:
    client, server = connected()
    server.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: 1000})
    talk(client, server)
    for number in range(3):
        client.start(headers(), b"", number, 0.0)
    talk(client, server)
    assert server.h2.decoder.header_table_size == 1000
    assert list(server.h2.decoder.header_table.dynamic_entries) == []
    assert [fields == list(headers()) for fields in server.headers.values()] == [True] * 3


def test_what_starts_in_one_turn_is_one_piece() -> None:
    client, _ = connected()
    for number in range(100):
        client.start(headers(), b"x" * 400, number, 0.0)
    assert client.free == 0
    assert len(client.take()) < 100 * (400 + 24) + 1100
    assert client.take() == b""


@pytest.mark.parametrize("size", [LARGEST_BODY - 1, LARGEST_BODY, LARGEST_BODY + 1])
def test_of_an_answer_that_is_too_large_the_beginning_is_kept(size: int) -> None:
    client, server = connected()
    client.start(headers(), b"", "large", 0.0)
    talk(client, server)
    server.h2.send_headers(1, [(":status", "200")])
    left = min(size, LARGEST_BODY)
    while left:
        piece = min(left, 16_384)
        server.h2.send_data(1, b"x" * piece, end_stream=size == LARGEST_BODY - 1 and piece == left)
        left -= piece
    (finished,) = talk(client, server)
    assert (finished.status, len(finished.body)) == (200, min(size, LARGEST_BODY))
    assert client.streams == 0
    assert client.error == ""


def test_a_request_of_which_a_part_never_left_is_untouched() -> None:
    client, _ = connected()
    client.start(headers(), b"x" * 65_000, "whole", 0.0)
    client.start(headers(), b"x" * 65_000, "part", 0.0)
    finished = {one.request: one.is_untouched for one in client.lose("gone")}
    assert finished == {"whole": False, "part": True}


def test_an_answer_may_come_before_the_request_has_ended() -> None:
    client, server = connected()
    client.start(headers(), b"x" * 100_000, "large", 0.0)
    server.receive(client.take())
    answer(server, 1, b"enough")
    (finished,) = talk(client, server)
    assert (finished.status, finished.body) == (200, b"enough")
    server.h2.increment_flow_control_window(100_000)
    assert talk(client, server) == []


def test_what_is_older_is_given_up_and_the_server_is_told() -> None:
    client, server = connected()
    for number in range(4):
        client.start(headers(), b"x", number, float(number))
    talk(client, server)
    assert [(one.request, one.error) for one in client.expire(2.0)] == [(0, "time-out"), (1, "time-out")]
    assert client.oldest == 2.0
    talk(client, server)
    assert server.whole == [5, 7]
    assert client.free == 98


def test_when_the_numbers_of_streams_end_so_does_the_connection() -> None:
    client, server = connected()
    client._next = 2**31 - 1
    client.start(headers(), b"x", "last", 0.0)
    assert (client.free, client.is_over) == (0, False)
    server.receive(client.take())
    answer(server, 2**31 - 1)
    assert [one.status for one in talk(client, server)] == [200]
    assert client.is_over


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        PingFrame(0, opaque_data=b"12345678").serialize(),
        SettingsFrame(0, flags=["ACK"]).serialize(),
    ],
)
def test_a_server_begins_with_its_settings(said: bytes) -> None:
    client = Connection()
    assert client.receive(said) == []
    assert client.error
    assert GoAwayFrame(0).type in (client.take()[-17 + 3],)


@pytest.mark.parametrize(
    "frames",
    [
        [DataFrame(2, b"x")],
        [DataFrame(99, b"x")],
        [DataFrame(0x7FFFFFFF, b"x")],
        [PushPromiseFrame(1, promised_stream_id=2, data=b"\x88", flags=["END_HEADERS"])],
        [HeadersFrame(1, b"\x88"), DataFrame(1, b"x")],
        [HeadersFrame(1, b"\x88"), ContinuationFrame(3, b"\x88", flags=["END_HEADERS"])],
        [ContinuationFrame(1, b"\x88", flags=["END_HEADERS"])],
        [HeadersFrame(1, b"\xbe", flags=["END_HEADERS"])],  # an entry of a table that has no room
        [HeadersFrame(1, b"\x3f\xe1\x1f\x88", flags=["END_HEADERS"])],  # a larger table
        [HeadersFrame(1, b"")] + [ContinuationFrame(1, b"x" * 16_000)] * 2,
        [HeadersFrame(1, b""), ContinuationFrame(1, b"")],
        [WindowUpdateFrame(0, window_increment=2**31 - 1)],
        [PingFrame(0, opaque_data=b"12345678")] * 5000,
        [SettingsFrame(0, settings={3: 1})] * 9000,
        [SettingsFrame(0, settings={4: 2**31})],
        [SettingsFrame(0, settings={5: 1})],
        [DataFrame(1, b"x" * 20_000)],
    ],
)
def test_what_breaks_the_protocol_ends_the_connection(frames: list[Frame]) -> None:
    client, _ = connected()
    for number in (1, 3):
        client.start(headers(), b"x", number, 0.0)
    finished = client.receive(b"".join(frame.serialize() for frame in frames))
    assert client.error
    assert [(one.request, one.is_untouched, one.status) for one in finished] == [(1, False, 0), (3, False, 0)]
    assert client.receive(b"whatever") == []


@pytest.mark.parametrize(
    "frames",
    [
        [DataFrame(1, b"x")],
        [HeadersFrame(1, b"\x88", flags=["END_HEADERS"])] * 2,
        [HeadersFrame(1, b"\x0f\x0d\x011", flags=["END_HEADERS"])],
        [HeadersFrame(1, b"\x08\x03103", flags=["END_HEADERS", "END_STREAM"])],
        [RstStreamFrame(1, error_code=2)],
        [HeadersFrame(1, b"\x88", flags=["END_HEADERS"]), RstStreamFrame(1, error_code=8)],
    ],
)
def test_what_breaks_one_stream_ends_only_that(frames: list[Frame]) -> None:
    client, _ = connected()
    for number in (1, 3):
        client.start(headers(), b"x", number, 0.0)
    (finished,) = client.receive(b"".join(frame.serialize() for frame in frames))
    assert (finished.request, bool(finished.error), finished.is_untouched) == (1, True, False)
    assert client.error == ""
    assert client.streams == 1


def test_a_goodbye_ends_what_comes_after_the_stream_it_names_and_nothing_else() -> None:
    client, server = connected()
    for number in (1, 3, 5):
        client.start(headers(), b"x", number, 0.0)
    server.receive(client.take())
    answer(server, 3)

    assert client.receive(GoAwayFrame(0, last_stream_id=2**31 - 1).serialize()) == []
    finished = client.receive(GoAwayFrame(0, last_stream_id=3).serialize())
    assert [(one.request, one.is_untouched) for one in finished] == [(5, True)]
    assert (client.free, client.is_over) == (0, False)
    assert [one.status for one in client.receive(b"".join(server.frames()))] == [200]
    assert [one.is_untouched for one in client.lose("gone")] == [False]
