"""A product whose services may be ended too, people in it, and the account of every reminder and every push.

What may be sent again is noted when a process dies, before anybody works on: the pushes of that process which FCM
accepted by then and which nobody recorded. Nothing else, and no later look at the ledger, explains a repeat.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import redis

from medtrack.tests.support.builders import PASSWORD
from medtrack.tests.support.own_services import OwnServices
from medtrack.tests.support.running_product import RunningProduct, eventually

# Which process has a lease, known by the name of its database session.
LEASES = """
    CREATE TABLE fault_leases (lease_token uuid PRIMARY KEY, worker text NOT NULL);
    CREATE FUNCTION fault_note_lease() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO fault_leases VALUES (NEW.lease_token, current_setting('application_name')) ON CONFLICT DO NOTHING;
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER fault_leases_are_known AFTER UPDATE ON notification_logs FOR EACH ROW
        WHEN (NEW.lease_token IS NOT NULL AND NEW.lease_token IS DISTINCT FROM OLD.lease_token)
        EXECUTE FUNCTION fault_note_lease();
"""
NOTHING_LEFT = """
    SELECT NOT EXISTS (SELECT FROM notification_logs WHERE status = 'queued' AND send_at <= clock_timestamp()) AND NOT EXISTS (
        SELECT FROM dose_logs d
        WHERE d.status = 'pending' AND d.due_at <= clock_timestamp() AND d.answer_by > clock_timestamp()
            AND NOT EXISTS (SELECT FROM notification_logs n WHERE n.dose_id = d.id)
    ) AS is_quiet
"""
OF_THE_GONE = (
    "lease_token IN (SELECT lease_token FROM fault_leases WHERE worker = ANY(%s)) AND lease_until > now()"
)
LONGEST_LEASE = (
    "SELECT coalesce(max(extract(epoch FROM lease_until - now())), 0)::float8 AS seconds "
    f"FROM notification_logs WHERE {OF_THE_GONE}"
)
LONGEST_PAUSE = (
    "SELECT coalesce(max(extract(epoch FROM retry_at - now())), 0)::float8 AS seconds "
    "FROM notification_logs WHERE retry_at > now()"
)
END_LEASES = f"UPDATE notification_logs SET lease_until = now() WHERE {OF_THE_GONE}"
SESSIONS = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s"
LEFT_OVER = """
    SELECT n.id::text AS id FROM notification_logs n JOIN fault_leases l USING (lease_token) WHERE l.worker = %s
"""


@dataclass(frozen=True)
class Phone:
    token: str
    id: str


@dataclass(frozen=True)
class Person:
    name: str
    access: str
    phones: list[Phone]


class Stage(RunningProduct):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory, OwnServices())
        self._number = 0

    def __enter__(self) -> Self:
        super().__enter__()
        self.environment["FCM_RAMP_SECONDS"] = "0"
        self.rows(LEASES)
        self.open()
        return self

    def clear(self) -> None:
        """Nobody, nothing, and no fault left of the act before."""
        self.stop_workers()
        self.fcm.clear_faults()
        self.fcm.set_latency(0)
        self.truncate("users, push_deliveries, fault_leases")
        self.forget_pace()
        self._start = len(self.fcm.ledger())
        self._lost_answers = self.fcm.state()["answers_lost"]
        self._workers: dict[subprocess.Popen[bytes], str] = {}
        self._gone: set[str] = set()
        self.may_repeat: set[str] = set()
        self.excused: Counter[str] = Counter()
        self._over_at = self._skipped_seconds = 0.0

    # People and their doses

    def person(self, name: str, *, phones: int = 1, doses: int = 1, **profile: Any) -> Person:
        """Signed up through the API, with so many phones and so many medicines to be taken at noon."""
        body = {"email": f"{name}@example.com", "password": PASSWORD, "timezone": "UTC", "language": "en"}
        access = self.api("POST", "auth/signup", body | profile)["access"]
        tokens = [f"{name}-phone-{number}" for number in range(phones)]
        person = Person(name, access, [self.register(access, token) for token in tokens])
        for number in range(doses):
            medication = self.api("POST", "medications", {"name": f"Medicine {number}"}, token=access)
            path = f"medications/{medication['id']}/schedules"
            self.api("POST", path, {"scheduled_time": "12:00"}, token=access)
        return person

    def register(self, access: str, token: str) -> Phone:
        body = {"token": token, "platform": "android"}
        return Phone(token, self.api("POST", "devices", body, token=access)["id"])

    def people(self) -> list[Person]:
        """Four, with five doses that make four pushes, one of them to two phones."""
        ana = self.person("ana", phones=2, doses=2)
        return [ana, *(self.person(name) for name in ("ben", "cleo", "dora"))]

    def make_due(self, ago: str = "1 s") -> None:
        """The next dose of every schedule is due since then; a negative time is a while ahead."""
        self.rows(
            "UPDATE dose_logs d SET due_at = now() - %s::interval, answer_by = now() - %s::interval + interval '4 h' "
            "WHERE d.id = (SELECT e.id FROM dose_logs e WHERE e.schedule_id = d.schedule_id AND e.due_at > now() "
            "ORDER BY e.due_at LIMIT 1)",
            ago,
            ago,
        )

    def multiply(self, times: int, *, apart: str = "1 ms") -> None:
        """Every due dose so many times, each so much before the one before, on earlier dates of its schedule."""
        self.rows(
            "INSERT INTO dose_logs (id, user_id, medication_id, schedule_id, log_date, scheduled_time, due_at, "
            "answer_by, quantity, status, created_at) SELECT medtrack_uuid7(), user_id, medication_id, schedule_id, "
            "log_date - n, scheduled_time, due_at - n * %s::interval, answer_by - n * %s::interval, quantity, status, "
            "created_at FROM dose_logs, generate_series(1, %s) n WHERE due_at <= now()",
            apart,
            apart,
            times - 1,
        )

    def let_pass(self, time: str) -> None:
        """So much time during which nobody works: all that is known lies that much further back."""
        self.rows(
            "UPDATE dose_logs SET due_at = due_at - %s::interval, answer_by = answer_by - %s::interval "
            "WHERE id IN (SELECT dose_id FROM notification_logs) OR due_at <= now()",
            time,
            time,
        )
        self.rows(
            "UPDATE notification_logs SET due_at = due_at - %s::interval, send_at = send_at - %s::interval, "
            "expires_at = expires_at - %s::interval, sent_at = sent_at - %s::interval, "
            "retry_at = retry_at - %s::interval",
            *[time] * 5,
        )

    # Those who do the work

    def dispatcher(self, *, forever: bool = False, fail_point: str = "") -> subprocess.Popen[bytes]:
        command = [sys.executable, "manage.py", "dispatch", *(["--forever"] if forever else [])]
        name = self._name("dispatcher")
        process = self.spawn("dispatch", command, PGAPPNAME=name, MEDTRACK_FAIL_POINT=fail_point)
        self._workers[process] = name
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        """A Celery worker as deployed; without a beat it waits for ticks."""
        name = self._name("worker")
        process = self.start("worker", PGAPPNAME=name)
        self._workers[process] = name
        return process

    def beat(self) -> subprocess.Popen[bytes]:
        return self.start("beat")

    def _name(self, kind: str) -> str:
        self._number += 1
        return f"{kind}-{self._number}"

    def dies(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL, if the process has not seen to that itself; notes what it leaves undone."""
        self.kill(process)
        assert process.returncode == -signal.SIGKILL, f"it ended by itself, with {process.returncode}"
        eventually(
            lambda: not self.rows(SESSIONS, self._workers[process])
        )  # its last statement may still commit
        self.note_gone(process)

    def stops(self, process: subprocess.Popen[bytes]) -> None:
        """Waits for a process to stop itself at its fail point, and treats it as gone from then on."""
        eventually(lambda: _state_of(process.pid) == "T")
        self.note_gone(process)

    def note_gone(self, process: subprocess.Popen[bytes]) -> None:
        """Its leases count as run out, and what FCM accepted from it without our knowing may be sent again."""
        worker = self._workers[process]
        self._gone.add(worker)
        left_over = {row["id"] for row in self.rows(LEFT_OVER, worker)}
        accepted = self._accepted_of(left_over)
        while (more := self._accepted_of(left_over)) != accepted:
            accepted = more
        self.may_repeat |= set(accepted.values()) - self._recorded()

    def _accepted_of(self, notification_ids: set[str]) -> dict[tuple[str, str], str]:
        """By reminder and phone the name of the last message, a moment from now: what was on the wire when its
        sender died has arrived. One death explains one more push to a phone, however many there were before."""
        time.sleep(0.2)
        return {
            (line["message"]["data"]["notification_id"], line["message"]["token"]): line["name"]
            for line in self.accepted()
            if line["message"]["data"]["notification_id"] in notification_ids
        }

    def note_lost_answers(self) -> None:
        """FCM's own count of what it accepted without being able to say so. For acts in which nobody dies."""
        lost = self.fcm.state()["answers_lost"] - self._lost_answers
        self.may_repeat |= {f"lost answer {number}" for number in range(lost)}

    def stop_workers(self) -> None:
        """All but the web process, which came first."""
        for process in self.processes[1:]:
            self.kill(process)
        del self.processes[1:]

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        """Waits for a dispatcher that ends by itself."""
        eventually(lambda: process.poll() is not None)
        assert process.returncode == 0, (self.directory / "dispatch.log").read_text()[-4000:]

    # Waiting

    def until_requests(self, count: int) -> None:
        """So many more requests have reached FCM since the act began."""
        eventually(lambda: len(self.fcm.ledger()) >= self._start + count)

    def until_web_is_ready(self) -> None:
        """Also with the last of the connections that its processes had pooled."""
        ready = 0
        while ready < 30:
            ready = ready + 1 if self.answers("readyz") else 0

    def until_hanging(self, count: int) -> None:
        eventually(lambda: self.fcm.state()["hanging"] >= count)

    def recover(self) -> None:
        """Until every reminder has its end; by those who are left or, if nobody is, by a fresh dispatcher."""
        self._over_at = self._over_at or time.monotonic()
        if not self._is_done() and not any(
            process.poll() is None and name not in self._gone for process, name in self._workers.items()
        ):
            self.dispatcher(forever=True)
        eventually(self._is_done)
        self._recovered_at = time.monotonic()

    @property
    def recovery_seconds(self) -> float:
        """From the end of the fault to the end of the last reminder, skipped leases and pauses included."""
        return self._recovered_at - self._over_at + self._skipped_seconds

    def skip_waits(self) -> None:
        """As if the leases of the dead and the pauses asked for by FCM were over; counts the seconds so skipped."""
        leases, pauses = self.rows(LONGEST_LEASE, list(self._gone)), self.rows(LONGEST_PAUSE)
        skipped = [row["seconds"] for row in leases + pauses]
        if any(skipped):
            self.rows(END_LEASES, list(self._gone))
            self.rows("UPDATE notification_logs SET retry_at = now() WHERE retry_at > now()")
            self._skipped_seconds += max(skipped)
            self.forget_pace()

    def forget_pace(self) -> None:
        with self.redis() as client:
            client.delete(*(client.keys("fcm-pace:*") or ["none"]))

    def redis(self) -> "redis.Redis":
        return redis.Redis.from_url(self.environment["REDIS_URL"], socket_timeout=5)

    def _is_done(self) -> bool:
        self.skip_waits()
        return bool(self.rows(NOTHING_LEFT)[0]["is_quiet"])

    # The account

    def ledger(self) -> list[dict[str, Any]]:
        """FCM's record of this act."""
        return self.fcm.ledger()[self._start :]

    def accepted(self) -> list[dict[str, Any]]:
        return [line for line in self.ledger() if line["status"] == 200]

    def excuse(self, reason: str, times: int = 1) -> None:
        """So many reminders are not to be accepted, and say so by this reason."""
        self.excused[reason] += times

    def _recorded(self) -> set[str]:
        rows = self.rows("SELECT message_id FROM push_deliveries WHERE outcome = 'accepted'")
        return {row["message_id"] for row in rows}


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def resume(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGCONT)
