"""The console's Celery tasks: Celery looks for them in this module."""

from medtrack.console.patients.tasks import refresh_summaries
from medtrack.console.staff.tasks import send_invitation

__all__ = ["refresh_summaries", "send_invitation"]
