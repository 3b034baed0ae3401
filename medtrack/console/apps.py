from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AppConfig):
    name = "medtrack.console"
    label = "console"


class SiteConfig(AdminConfig):
    default_site = "medtrack.console.site.ConsoleSite"
