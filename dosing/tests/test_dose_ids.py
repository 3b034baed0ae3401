"""Ids of planned doses: the same from Python, from PostgreSQL, and from JavaScript where node is there."""

import json
import shutil
import subprocess
from datetime import date
from hashlib import sha256
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from dosing.dose_ids import dose_id, log_date_of
from medtrack.tests.support.api import SCHEMA

IDS = [
    ("01990a4f-5230-7f11-b4c9-77aa31c0de32", date(2026, 11, 20), 0, "01a1f640-bc00-8d25-a8df-da3a71f11979"),
    ("01990a4f-5230-7f11-b4c9-77aa31c0de32", date(2026, 11, 20), 1, "01a1f640-bc00-8637-b43e-73cbe4db6bbe"),
    ("01990a4f-5230-7f11-b4c9-77aa31c0de32", date(2026, 11, 21), 0, "01a1fb67-1800-882c-9393-125f2f69dc85"),
    ("00000000-0000-0000-0000-000000000000", date(1970, 1, 1), 0, "00000000-0000-8a86-8198-05540c0095df"),
    ("ffffffff-ffff-ffff-ffff-ffffffffffff", date(2199, 12, 31), 255, "0699e46b-4c00-85bd-9ab2-5d88a1acaed5"),
]


def by_the_description(schedule_id: UUID, log_date: date, ordinal: int) -> UUID:
    """Written from the API's description alone."""
    milliseconds = (log_date - date(1970, 1, 1)).days * 86_400_000
    hashed = sha256(schedule_id.bytes + log_date.isoformat().encode() + bytes([ordinal])).digest()
    value = bytearray(milliseconds.to_bytes(6, "big") + hashed[:10])
    value[6] = 0x80 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F
    return UUID(bytes=bytes(value))


@pytest.mark.parametrize(("schedule_id", "log_date", "ordinal", "id"), IDS)
def test_the_described_ids_are_ours(schedule_id: str, log_date: date, ordinal: int, id: str) -> None:
    assert str(dose_id(UUID(schedule_id), log_date, ordinal)) == id
    assert f"| `{schedule_id}` | {log_date} | {ordinal} | `{id}` |" in SCHEMA["info"]["description"]


@given(schedule_id=st.uuids(), log_date=st.dates(date(1970, 1, 1)), ordinal=st.integers(0, 255))
def test_an_id_is_what_the_description_says_and_tells_its_date(
    schedule_id: UUID, log_date: date, ordinal: int
) -> None:
    id = dose_id(schedule_id, log_date, ordinal)
    assert id == by_the_description(schedule_id, log_date, ordinal)
    assert (id.version, id.variant) == (8, "specified in RFC 4122")
    assert log_date_of(id) == log_date


def test_postgresql_makes_the_same_ids(db: None) -> None:
    cases = [(UUID(schedule_id), log_date, ordinal) for schedule_id, log_date, ordinal, _id in IDS]
    cases += [(uuid4(), date(2026, 1, 1 + number), number) for number in range(20)]
    with connection.cursor() as cursor:
        for case in cases:
            cursor.execute("SELECT medtrack_dose_id(%s, %s, %s)", case)
            assert cursor.fetchone() == (dose_id(*case),)


def test_javascript_computes_the_same() -> None:
    chance = Random(15)
    cases = [
        (
            UUID(int=chance.getrandbits(128)),
            date.fromordinal(chance.randint(1, date.max.toordinal())),
            chance.randint(0, 255),
        )
        for _ in range(300 if shutil.which("node") else 0)
    ]
    if cases:
        rows = json.dumps([[str(schedule), day.isoformat(), ordinal] for schedule, day, ordinal in cases])
        script = Path(__file__).with_name("dose_ids.js")
        run = subprocess.run(["node", script], input=rows, capture_output=True, text=True, check=True)
        assert json.loads(run.stdout) == [str(dose_id(*case)) for case in cases]


def test_other_ids_have_no_date() -> None:
    assert log_date_of(uuid4()) is None
    id = dose_id(uuid4(), date(2026, 11, 20))
    assert log_date_of(UUID(int=id.int + 2**80)) is None
