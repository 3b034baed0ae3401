"""Where a number of the console leads: the list behind it, for those who may see it."""

from urllib.parse import urlencode

from django.db.models import Model
from django.urls import NoReverseMatch, reverse

from users.models import User


class Links:
    def __init__(self, viewer: User) -> None:
        self._viewer = viewer

    def rows(self, model: type[Model], **query: object) -> str:
        """The list of these rows, filtered by the query; empty for who may not see it."""
        meta = model._meta
        if not self._viewer.has_perm(f"{meta.app_label}.view_{meta.model_name}"):
            return ""
        try:
            address = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
        except NoReverseMatch:
            return ""
        return f"{address}?{urlencode(query)}" if query else address
