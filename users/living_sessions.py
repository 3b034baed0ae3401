"""Reads the session and user of an access token by one prepared statement, as nearly every request does."""

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
    FROM sessions s
    JOIN users u ON u.id = s.user_id
    WHERE s.id = %(session_id)s AND s.user_id = %(user_id)s AND medtrack_is_living(s, u)
"""  # noqa: S608 - the columns are those of the models
_LIVING = Statement(_LIVING_SQL, prepared=True)


def living_session(claims: AccessClaims) -> Session | None:
    """Returns the session with its user; None if it has ended or expired, or the user is inactive."""
    rows = _LIVING.rows(session_id=claims.session_id, user_id=claims.user_id)
    if not rows:
        return None
    width = len(Session._meta.concrete_fields)
    session = _from_row(Session, rows[0][:width])
    session.user = _from_row(User, rows[0][width:])
    return session


def _from_row(model: type[M], values: tuple[Any, ...]) -> M:
    return model.from_db(DEFAULT_DB_ALIAS, [field.attname for field in model._meta.concrete_fields], values)
