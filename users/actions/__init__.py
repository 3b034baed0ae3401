"""Every write to people, their identities and their sessions. What the other apps need of it is here."""

from users.actions.accounts import lock_user, log_in, sign_up
from users.actions.sessions import Credentials, end_sessions, log_out

__all__ = ["Credentials", "end_sessions", "lock_user", "log_in", "log_out", "sign_up"]
