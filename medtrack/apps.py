import sys

from django.apps import AppConfig

from medtrack import database
from medtrack.database import ids


class MedTrackConfig(AppConfig):
    name = "medtrack"
    verbose_name = "MedTrack"

    def ready(self) -> None:
        # Shared tasks belong to this Celery application in every process that starts Django. It is not loaded in
        # medtrack/__init__.py because the web launcher, the embedded services and the FCM stand-in know no Django.
        from medtrack import celery  # noqa: F401

        # Released migrations, which are never edited, import `medtrack.common.ids`, the module's first place.
        sys.modules["medtrack.common"] = database
        sys.modules["medtrack.common.ids"] = ids
        self.module.common = database  # type: ignore[union-attr]
