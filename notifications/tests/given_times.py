"""One patient, her phone and her doses, and an engine that works at given instants."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from dosing.actions.doses import undo_dose
from dosing.actions.schedules import update_schedule
from dosing.models import DoseLog, Schedule
from dosing.settling import settle
from medtrack.tests.support.builders import claim_all, device_of, medication_of, schedule_at
from medtrack.tests.support.given_clock import set_clock
from notifications import queue
from notifications.models import NotificationLog
from notifications.queue import Push, PushResult
from notifications.tests.claims import ACCEPTED
from users.models import User

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def clock(wall: str) -> datetime:
    """The instant of a time of day, `HH:MM` or `HH:MM:SS`, on DAY, in UTC, in which Ana lives."""
    at = time.fromisoformat(wall)
    return DAY + timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)


@dataclass(frozen=True)
class Ring:
    """A push that FCM accepted about a dose, and for which time."""

    at: datetime
    dose_id: UUID
    kind: str
    step: int
    due_at: datetime | None


@dataclass
class House:
    user: User
    rings: list[Ring] = field(default_factory=list)

    def medicine(self, wall: str, *, name: str = "Metformin", made: str = "12:00") -> Schedule:
        if not self.user.devices.exists():
            device_of(self.user)
        return schedule_at(medication_of(self.user, name), clock(wall).time(), now=clock(made))

    def dose(self, schedule: Schedule) -> DoseLog:
        return DoseLog.objects.get(schedule=schedule, log_date=DAY.date())

    def move(self, schedule: Schedule, to: str, *, now: datetime) -> None:
        changes = {"scheduled_time": clock(to).time()}
        update_schedule(schedule_id=schedule.id, by=self.user, changes=changes, now=now)

    def undo(self, dose: DoseLog, *, now: datetime) -> None:
        undo_dose(dose_id=dose.id, by=self.user, now=now)

    def enqueue(self, now: datetime) -> None:
        set_clock(now)
        queue.enqueue()
        queue.enqueue_follow_ups()

    def claim(self, now: datetime) -> list[Push]:
        set_clock(now)
        return claim_all().pushes

    def accept(self, pushes: list[Push], now: datetime) -> None:
        set_clock(now)
        queue.mark([PushResult(push, dict.fromkeys(push.devices, ACCEPTED), None) for push in pushes])
        for push in pushes:
            for row in NotificationLog.objects.filter(id__in=push.notification_ids):
                if row.dose_id and row.kind != "withdraw":
                    self.rings.append(Ring(now, row.dose_id, row.kind, row.step, row.due_at))

    def tick(self, now: datetime) -> None:
        """Everything that the engine does, at this instant."""
        settle(now=now)
        self.enqueue(now)
        self.accept(self.claim(now), now)

    def live(self, since: str, until: str) -> None:
        """The engine works from `since` to `until`: every ten seconds for two minutes, then at full minutes."""
        now = clock(since)
        while now <= clock(until):
            self.tick(now)
            is_first = now < clock(since) + timedelta(minutes=2)
            now += timedelta(seconds=10 if is_first else 60 - now.second)

    def rung(self) -> list[tuple[str, str]]:
        """When and of which kind."""
        return [(f"{ring.at:%H:%M:%S}".removesuffix(":00"), ring.kind) for ring in self.rings]
