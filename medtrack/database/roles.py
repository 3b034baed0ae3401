"""The login roles of the database and their privileges.

The owner of the tables, which runs `migrate`, is not one of them. No request runs this code.
"""

import secrets
from collections.abc import Mapping

from django.db import DatabaseError, connection, transaction
from psycopg import sql
from psycopg.errors import DuplicateObject, UniqueViolation

from medtrack.database.role_names import ENGINE, REPORT, ROLES, WEB

# Settings of each role's connections. Statements are short: JIT compilation would cost more than it saves.
SETTINGS = {
    # Proxies and phones give up after half a minute, so a request must fail before that.
    WEB: {
        "jit": "off",
        "statement_timeout": "10s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "30s",
    },
    # The nightly check of a large database is the longest statement. Batches wait for each other's locks.
    ENGINE: {
        "jit": "off",
        "statement_timeout": "15min",
        "lock_timeout": "1min",
        "idle_in_transaction_session_timeout": "5min",
    },
    REPORT: {
        "statement_timeout": "5min",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "1min",
        "default_transaction_read_only": "on",
    },
}

# Web and engine read and write every table, also those of later migrations, except for these.
FULL = ("SELECT", "INSERT", "UPDATE", "DELETE")
READ_ONLY = ("SELECT",)
NOTHING: tuple[str, ...] = ()
# PostgreSQL could write through some of these views, with the privileges of their owner.
VIEWS = dict.fromkeys(("living_sessions", "patients", "reachable_devices", "signed_in_devices"), READ_ONLY)
EXCEPTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    WEB: {
        "access_log": ("SELECT", "INSERT"),
        "auth_group": READ_ONLY,
        "auth_group_permissions": READ_ONLY,
        "auth_permission": READ_ONLY,
        "django_content_type": READ_ONLY,
        "django_migrations": READ_ONLY,
        # Erasing a user deletes their events; a trigger refuses every other deletion.
        "dose_events": ("SELECT", "INSERT", "DELETE"),
        "engine_checks": READ_ONLY,
        "engine_violations": READ_ONLY,
        "firebase_projects": READ_ONLY,
        "heartbeats": READ_ONLY,
        # Append-only like dose_events.
        "medication_events": ("SELECT", "INSERT", "DELETE"),
        **VIEWS,
    },
    ENGINE: {
        "access_log": NOTHING,
        "account_emailaddress": NOTHING,
        "account_emailconfirmation": NOTHING,
        "auth_group": NOTHING,
        "auth_group_permissions": NOTHING,
        "auth_permission": NOTHING,
        "django_admin_log": NOTHING,
        "django_content_type": NOTHING,
        "django_migrations": READ_ONLY,
        "django_session": NOTHING,
        "dose_events": READ_ONLY,
        "engine_violations": READ_ONLY,
        "medication_events": ("SELECT", "INSERT"),
        "mfa_authenticator": NOTHING,
        "staff_invitations": READ_ONLY,
        "users_groups": NOTHING,
        "users_user_permissions": NOTHING,
        **VIEWS,
    },
}
# Reports need no identities and no free text. A new column must be added here before they can read it.
REPORT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "device_tokens": (
        *("id", "user_id", "platform", "app_version", "created_at", "last_seen_at", "silent_since"),
        *("suspect_since", "revoked_at", "revoke_reason"),
    ),
    "dose_events": ("id", "dose_id", "action", "occurred_at", "recorded_at"),
    "dose_logs": (
        *(
            "id",
            "user_id",
            "medication_id",
            "schedule_id",
            "log_date",
            "scheduled_time",
            "due_at",
            "answer_by",
        ),
        *("quantity", "taken_quantity", "status", "taken_at", "snoozed_until", "created_at"),
    ),
    "engine_checks": ("id", "ran_at", "seconds", "violations"),
    "engine_violations": ("invariant", "subject", "detail"),
    "heartbeats": ("process", "at"),
    "medications": ("id", "user_id", "is_active", "paused_at", "created_at", "deleted_at"),
    "notification_logs": (
        *("id", "user_id", "dose_id", "schedule_id", "device_id", "kind", "step", "due_at", "send_at"),
        *("expires_at", "status", "reason", "attempts", "claimed_at", "sent_at", "read_at", "closed_at"),
        "created_at",
    ),
    "patient_summaries": (
        *("patient_id", "adherence_7", "adherence_30", "adherence_before", "last_answer_at", "device_count"),
        *("silent_device_count", "failed_push_count", "refreshed_at"),
    ),
    "push_deliveries": (
        *("id", "notification_id", "device_id", "outcome", "error_code", "attempts", "claimed_at"),
        *("answered_at", "arrived_at", "shown_at", "opened_at"),
    ),
    "schedules": (
        *("id", "medication_id", "cycle_type", "start_date", "end_date", "is_active", "reminder_enabled"),
        *("planned_until", "created_at", "deleted_at"),
    ),
    "users": ("id", "timezone", "language", "is_active", "is_staff", "created_at", "deleted_at"),
}

_LOCK = 7_305_814_024
_PASSWORD_BYTES = 24


def make_roles(passwords: Mapping[str, str]) -> dict[str, str]:
    """Creates missing roles and sets all privileges, as the owner of the tables. Can be run again at any time.

    `passwords` are by role. Returns the generated passwords of roles that were created without one.
    """
    generated = {}
    with transaction.atomic():
        _run("SELECT pg_advisory_xact_lock({lock})", lock=sql.Literal(_LOCK))
        connection.ensure_connection()
        pgconn = connection.connection.pgconn
        for role in ROLES:
            name, password = sql.Identifier(role), passwords.get(role, "")
            if _create_or_restrict(role) and not password:
                password = generated[role] = secrets.token_urlsafe(_PASSWORD_BYTES)
            if password:
                # Sent as a hash, so that the server does not log the password.
                hashed = pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
                _run("ALTER ROLE {role} PASSWORD {hashed}", role=name, hashed=sql.Literal(hashed))
            for setting, value in SETTINGS[role].items():
                _run(
                    "ALTER ROLE {role} IN DATABASE {database} SET {setting} = {value}",
                    role=name,
                    database=_database(),
                    setting=sql.Identifier(setting),
                    value=sql.Literal(value),
                )
        _grant()
    return generated


def _create_or_restrict(role: str) -> bool:
    """Creates the role, or removes attributes that it must not have; returns whether it was created."""
    name, literal = sql.Identifier(role), sql.Literal(role)
    if not _value("SELECT count(*) FROM pg_roles WHERE rolname = {role}", role=literal):
        try:
            with transaction.atomic():
                _run("CREATE ROLE {role} LOGIN", role=name)
        except DatabaseError as error:
            # Roles are shared by all databases of a server, and another one created it at this moment.
            if isinstance(error.__cause__, DuplicateObject | UniqueViolation):
                return False
            raise
        return True
    # Written only if necessary: two databases of a server that alter a role at the same time would conflict.
    exceeds = (
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls "
        "OR NOT rolcanlogin FROM pg_roles WHERE rolname = {role}"
    )
    if _value(exceeds, role=literal):
        _run(
            "ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS", role=name
        )
    return False


def _grant() -> None:
    """Revokes and grants all privileges.

    Running processes see only the result, because it is one transaction.
    """
    roles = sql.SQL(", ").join(map(sql.Identifier, ROLES))
    both = sql.SQL(", ").join(map(sql.Identifier, (WEB, ENGINE)))
    _run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    _run("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC", database=_database())
    _run("GRANT CONNECT ON DATABASE {database} TO {roles}", database=_database(), roles=roles)
    _run("GRANT USAGE ON SCHEMA public TO {roles}", roles=roles)
    _run("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {roles}", roles=roles)
    full = sql.SQL(", ".join(FULL))
    _run("GRANT {full} ON ALL TABLES IN SCHEMA public TO {both}", full=full, both=both)
    _run("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {full} ON TABLES TO {both}", full=full, both=both)
    for role, tables in EXCEPTIONS.items():
        for table, privileges in tables.items():
            taken = sql.SQL(", ").join(sql.SQL(name) for name in FULL if name not in privileges)
            names = {"table": sql.Identifier(table), "role": sql.Identifier(role)}
            _run("REVOKE {taken} ON {table} FROM {role}", taken=taken, **names)
    for table, columns in REPORT_COLUMNS.items():
        _run(
            "GRANT SELECT ({columns}) ON {table} TO {role}",
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            table=sql.Identifier(table),
            role=sql.Identifier(REPORT),
        )


def _database() -> sql.Identifier:
    return sql.Identifier(connection.settings_dict["NAME"])


def _run(statement: str, **parts: sql.Composable) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(**parts))


def _value(question: str, **parts: sql.Composable) -> object:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(question).format(**parts))
        (value,) = cursor.fetchone()
    return value
