"""The product as `script/server` runs it: with the demo's people, in development, all processes and the stand-in."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import uuid4
from zoneinfo import ZoneInfo

from celery import Celery

from medtrack.tests.support.builders import PASSWORD
from medtrack.tests.support.running_product import RunningProduct, eventually

# Without summer time, and some city is never far from noon: nothing of a person's day depends on when tests run.
CITIES = (
    *("Pacific/Honolulu", "America/Phoenix", "America/Lima", "America/Sao_Paulo", "Atlantic/Reykjavik"),
    *("Africa/Nairobi", "Asia/Karachi", "Asia/Bangkok", "Asia/Tokyo", "Pacific/Guadalcanal", "Pacific/Fiji"),
)
NOON = 12 * 60


@dataclass(frozen=True)
class Resident:
    email: str
    access: str
    dose_ids: list[str]


class DemoProduct(RunningProduct):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.url = f"http://localhost:{self.port}"

    def __enter__(self) -> Self:
        super().__enter__()
        throttles = "login_account=1000/60,login_everywhere=1000/60"
        self.environment |= {"DEBUG": "true", "STAFF_SECOND_FACTOR": "true", "THROTTLES": throttles}
        self.environment["CONSOLE_URL"] = self.url
        for name in ("web", "worker", "beat"):
            self.start(name)
        self.manage("create_demo")
        eventually(lambda: self.answers("livez"))
        return self

    def resident(self, *, language: str = "en") -> Resident:
        """Somebody new, about noon of their day, whose doses of today are due this evening."""
        email = f"{uuid4().hex}@example.com"
        person = {"email": email, "password": PASSWORD, "timezone": city_at_noon(), "language": language}
        access = self.api("POST", "auth/signup", person | {"name": "Ana"})["access"]
        for medicine, dosage, at in (
            ("Metformin", "2 tablets", "18:00"),
            ("Atorvastatin", "1 tablet", "21:30"),
        ):
            fields = {"name": medicine, "dosage": dosage}
            medication = self.api("POST", "medications", fields, token=access)
            path = f"medications/{medication['id']}/schedules"
            self.api("POST", path, {"scheduled_time": at}, token=access)
        day = self.api("GET", "doses", token=access)["results"]
        return Resident(email, access, [dose["id"] for dose in day])

    def make_due(self, dose_id: str) -> None:
        """This dose is due since a second ago, instead of this evening."""
        self.rows(
            "UPDATE dose_logs SET due_at = now() - interval '1 s', answer_by = now() + interval '4 h' WHERE id = %s",
            dose_id,
        )

    def tick(self, task: str) -> None:
        """What beat does every ten or thirty seconds, now."""
        with Celery(broker=self.environment["REDIS_URL"]) as beat:
            beat.send_task(f"notifications.tasks.{task}")


def city_at_noon() -> str:
    def minutes_from_noon(city: str) -> int:
        local = datetime.now(UTC).astimezone(ZoneInfo(city))
        return abs(local.hour * 60 + local.minute - NOON)

    return min(CITIES, key=minutes_from_noon)
