"""The look at session and person that nearly every request begins with: one prepared statement, two models."""

from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from medtrack.database.statements import Statement
from users.models import Session, User
from users.tokens import AccessClaims

M = TypeVar("M", bound=Model)


def _columns(model: type[Model], alias: str) -> str:
    return ", ".join(f'{alias}."{field.column}"' for field in model._meta.concrete_fields)


_LIVING_SQL = f"""
    SELECT {_columns(Session, "s")}, {_columns(User, "u")}
    FROM living_sessions l
    JOIN sessions s ON s.id = l.id
    JOIN users u ON u.id = l.user_id
    WHERE l.id = %(session_id)s AND l.user_id = %(user_id)s
"""  # noqa: S608 - the columns are our own
_LIVING = Statement(_LIVING_SQL, prepared=True)


def living_session(claims: AccessClaims) -> Session | None:
    """With its person; None when it was ended, ran out, or belongs to somebody who left."""
    rows = _LIVING.rows(session_id=claims.session_id, user_id=claims.user_id)
    if not rows:
        return None
    width = len(Session._meta.concrete_fields)
    session = _made(Session, rows[0][:width])
    session.user = _made(User, rows[0][width:])
    return session


def _made(model: type[M], values: tuple[Any, ...]) -> M:
    return model.from_db(DEFAULT_DB_ALIAS, [field.attname for field in model._meta.concrete_fields], values)
