"""Every write to users, their identities and their sessions. What other apps need is imported here.

An action takes ids and runs in a transaction of its own. A function that takes a `User` runs in the transaction of an
action that has locked that row.
"""

from users.actions.accounts import lock_user, log_in, sign_up
from users.actions.sessions import Credentials, end_sessions, log_out

__all__ = ["Credentials", "end_sessions", "lock_user", "log_in", "log_out", "sign_up"]
