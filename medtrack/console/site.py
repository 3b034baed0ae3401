"""The admin site: what support staff open every morning."""

from django.utils.translation import gettext_lazy as _

from medtrack.console.guard import GuardedSite


class ConsoleSite(GuardedSite):
    site_header = site_title = "MedTrack"
    index_title = _("Today")
    site_url = None
    enable_nav_sidebar = False
