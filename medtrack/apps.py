import sys

from django.apps import AppConfig

from medtrack import database
from medtrack.database import ids


class MedTrackConfig(AppConfig):
    name = "medtrack"
    verbose_name = "MedTrack"

    def ready(self) -> None:
        # Loads the Celery application for shared tasks in every process that starts Django. Celery's guide does it in
        # medtrack/__init__.py, but the web launcher, the embedded services and the FCM stand-in run without Django.
        from medtrack import celery  # noqa: F401

        # Released migrations import `medtrack.common.ids`, where this module was first.
        sys.modules["medtrack.common"] = database
        sys.modules["medtrack.common.ids"] = ids
        self.module.common = database  # type: ignore[union-attr]
