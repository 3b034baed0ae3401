from allauth.account import apps as allauth
from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    name = "medtrack.console"
    label = "console"
    verbose_name = _("Console")


class SiteConfig(AdminConfig):
    default_site = "medtrack.console.site.ConsoleSite"


class AccountConfig(allauth.AccountConfig):
    """Insists on no middleware for every request: ours runs allauth's for pages alone."""

    default = False
    default_auto_field = "django.db.models.AutoField"

    def ready(self) -> None:
        from allauth.account import checks  # noqa: F401
