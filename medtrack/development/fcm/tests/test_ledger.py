"""The ledger of the FCM stand-in."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from medtrack.development.fcm.ledger import Ledger
from medtrack.development.fcm.process import FcmStandin
from medtrack.development.fcm.tests.client import NoAnswerError, access_token, send


class Recorder:
    """A ledger on a disk that blocks until it is released, or that is full."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.durable: list[list[str]] = []
        self.failures: list[OSError] = []
        self.syncs = 0
        self.disk_may_go_on = threading.Event()
        monkeypatch.setattr(os, "fsync", self._sync)

    def open(self) -> Ledger[str]:
        return Ledger(self.path, self.durable.append, self.failures.append)

    async def syncing(self) -> None:
        async with asyncio.timeout(20):
            while self.syncs == 0:
                await asyncio.sleep(0)

    def _sync(self, _file: int) -> None:
        self.syncs += 1
        self.disk_may_go_on.wait(20)


def test_an_item_is_durable_only_after_the_sync(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path / "ledger.jsonl", monkeypatch)

    async def record() -> None:
        ledger = recorder.open()
        ledger.append(b"1", "first")
        await recorder.syncing()
        assert (recorder.durable, recorder.path.read_bytes()) == ([], b"1\n")
        recorder.disk_may_go_on.set()
        await ledger.close()

    asyncio.run(record())

    assert recorder.durable == [["first"]]


def test_lines_that_arrive_during_a_sync_share_the_next_one(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path / "ledger.jsonl", monkeypatch)

    async def record() -> None:
        ledger = recorder.open()
        ledger.append(b"0", "0")
        await recorder.syncing()
        for number in range(1, 100):
            ledger.append(b"%d" % number, str(number))
            await asyncio.sleep(0)
        recorder.disk_may_go_on.set()
        await ledger.close()

    asyncio.run(record())

    assert recorder.syncs == 2
    assert recorder.durable == [["0"], [str(number) for number in range(1, 100)]]
    assert recorder.path.read_text().split() == [str(number) for number in range(100)]


@pytest.mark.parametrize(
    ("content", "kept"),
    [("", ""), ("a\nb\n", "a\nb\n"), ("a\nb", "a\n"), ("torn", ""), ("a\n" + "x" * 200_000, "a\n")],
)
def test_opening_a_ledger_removes_an_incomplete_line(tmp_path, content, kept):
    path = tmp_path / "ledger.jsonl"
    path.write_text(content)

    asyncio.run(Ledger[str](path, print, print).close())

    assert path.read_text() == kept


def test_a_full_disk_ends_the_process_with_one_sentence_and_without_an_answer(tmp_path):
    (tmp_path / "ledger.jsonl").symlink_to("/dev/full")
    with FcmStandin.start(tmp_path) as running:
        with pytest.raises(NoAnswerError):
            send(running, "HTTP/2", access_token(running))

        assert running.process.wait(20) == 1
        assert running.output().splitlines()[1:] == [
            "FCM stand-in: cannot write the ledger: No space left on device."
        ]
