from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from medtrack.http.problems import IdConflict
from users.actions import Credentials
from users.idempotency import fingerprint, repeated
from users.models import IdempotencyKey, User

ID = UUID("01a1ff4b-e194-7431-90d2-b65070995e6c")
EVENT = IdempotencyKey.Scope.EVENT
SAID: dict[str, Any] = {
    "id": ID,
    "quantity": Decimal("1.5"),
    "at": datetime(2026, 11, 20, 12, tzinfo=UTC),
    "date": date(2026, 11, 20),
    "time": time(8),
    "value": {"days": ["mon"], "every": 2},
    "note": None,
}


@pytest.mark.parametrize(
    "sent",
    [
        dict(reversed(SAID.items())),
        SAID | {"quantity": Decimal("1.500")},
        SAID | {"at": datetime(2026, 11, 20, 21, tzinfo=timezone(timedelta(hours=9)))},
        SAID | {"value": {"every": 2, "days": ["mon"]}},
    ],
)
def test_the_same_body_in_another_form_has_the_same_fingerprint(sent: dict[str, Any]) -> None:
    assert fingerprint(sent) == fingerprint(SAID)
    assert len(fingerprint(sent)) == 32


@pytest.mark.parametrize("name", SAID)
def test_anything_else_has_another_fingerprint(name: str) -> None:
    others = [SAID | {name: 5}, {key: value for key, value in SAID.items() if key != name}]
    assert len({fingerprint(sent) for sent in (SAID, *others)}) == 3


def test_what_cannot_be_told_apart_is_no_fingerprint() -> None:
    with pytest.raises(TypeError):
        fingerprint({"x": object()})


def test_an_object_that_is_not_among_the_rows_any_more_is_a_conflict(ana: Credentials) -> None:
    people = User.objects.filter(id=ana.user.id)
    ask: dict[str, Any] = {"scope": EVENT, "id": ana.user.id, "by": ana.user, "body": SAID}
    assert repeated(people, **ask) is None
    assert repeated(people, **ask) == ana.user
    with pytest.raises(IdConflict):
        repeated(people.none(), **ask)


def test_an_id_is_of_one_scope_and_one_person(ana: Credentials, ben: Credentials) -> None:
    ask: dict[str, Any] = {"id": ana.user.id, "body": SAID}
    assert repeated(User.objects.all(), scope=EVENT, by=ana.user, **ask) is None
    assert repeated(User.objects.all(), scope=IdempotencyKey.Scope.INTAKE, by=ben.user, **ask) is None
    with pytest.raises(IdConflict):
        repeated(User.objects.all(), scope=EVENT, by=ben.user, **ask)


def test_without_an_id_everything_is_new(ana: Credentials) -> None:
    ask: dict[str, Any] = {"scope": EVENT, "id": None, "by": ana.user, "body": SAID}
    assert [repeated(User.objects.all(), **ask) for _ in range(2)] == [None, None]
    assert not IdempotencyKey.objects.exists()
