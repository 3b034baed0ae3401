"""The ids of planned doses, against PostgreSQL, the table in the contract, and JavaScript where node is there."""

import json
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from django.db import connection

from dosing.dose_ids import dose_id, log_date_of
from medtrack.database.ids import uuid7

ROOT = Path(__file__).resolve().parents[2]
VECTOR = re.compile(r"\| `([0-9a-f-]{36})` \| (\d{4}-\d\d-\d\d) \| (\d+) \| `([0-9a-f-]{36})` \|")
VECTORS = [
    (UUID(schedule), date.fromisoformat(day), int(ordinal), UUID(id))
    for schedule, day, ordinal, id in VECTOR.findall((ROOT / "docs/contract.md").read_text())
]


def cases(count: int) -> list[tuple[UUID, date, int]]:
    chance = Random(15)
    return [
        (
            UUID(int=chance.getrandbits(128)),
            date.fromordinal(chance.randint(1, date.max.toordinal())),
            chance.randint(0, 255),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("vector", VECTORS)
def test_the_contract_has_test_vectors(vector: tuple[UUID, date, int, UUID]) -> None:
    *known, id = vector
    assert dose_id(*known) == id
    assert len(VECTORS) == 5


def test_postgresql_computes_the_same(db: None) -> None:
    with connection.cursor() as cursor:
        for schedule, day, ordinal in cases(300):
            cursor.execute("SELECT medtrack_dose_id(%s, %s, %s)", [schedule, day, ordinal])
            assert cursor.fetchone() == (dose_id(schedule, day, ordinal),)


def test_javascript_computes_the_same() -> None:
    known = cases(300) if shutil.which("node") else []
    if known:
        rows = json.dumps([[str(schedule), day.isoformat(), ordinal] for schedule, day, ordinal in known])
        script = Path(__file__).with_name("dose_ids.js")
        run = subprocess.run(["node", script], input=rows, capture_output=True, text=True, check=True)
        assert json.loads(run.stdout) == [str(dose_id(*case)) for case in known]


def test_an_id_says_its_date_and_its_kind() -> None:
    for schedule, day, ordinal in cases(300):
        id = dose_id(schedule, day, ordinal)
        assert (id.version, id.variant) == (8, "specified in RFC 4122")
        assert log_date_of(id) == (day if day >= date(1970, 1, 1) else None)
    assert log_date_of(uuid7()) is None


def test_ids_differ_by_schedule_date_and_ordinal() -> None:
    known = cases(2000)
    assert len({dose_id(*case) for case in known}) == len(set(known))
