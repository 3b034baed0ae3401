"""Requests of a patient's day through the generated client, type-checked like an app's."""

import sys
from typing import TypeVar
from uuid import uuid4

from medtrack_client import AuthenticatedClient, Client
from medtrack_client.api.adherence import get_current_adherence
from medtrack_client.api.auth import list_sessions, log_in, log_out, sign_up
from medtrack_client.api.devices import list_devices, register_device
from medtrack_client.api.doses import list_doses, snooze_dose, take_dose
from medtrack_client.api.me import get_me
from medtrack_client.api.medications import create_medication
from medtrack_client.api.schedules import create_schedule
from medtrack_client.models import (
    DeviceInputRequest,
    DoseStatus,
    LogInInputRequest,
    NewMedicationInputRequest,
    NewScheduleInputRequest,
    PlatformEnum,
    Problem,
    ProblemType,
    SignUpInputRequest,
    SnoozeInputRequest,
    TakeInputRequest,
)

T = TypeVar("T")


def had(answer: T | Problem | None) -> T:
    if answer is None or isinstance(answer, Problem):
        raise AssertionError(answer)
    return answer


def problem(answer: object) -> ProblemType:
    assert isinstance(answer, Problem), answer
    return answer.type_


url = sys.argv[1]
person = SignUpInputRequest(
    email=f"{uuid4()}@example.com", password="seven quiet rivers", timezone="Asia/Seoul"
)
credentials = had(sign_up.sync(client=Client(base_url=url), body=person))
client = AuthenticatedClient(base_url=url, token=credentials.access)

medication = had(
    create_medication.sync(client=client, body=NewMedicationInputRequest(name="Metformin", id=uuid4()))
)
schedule = NewScheduleInputRequest(scheduled_time="23:59")
assert had(create_schedule.sync(medication.id, client=client, body=schedule)).scheduled_time == "23:59"
(dose,) = had(list_doses.sync(client=client)).results
taken = had(take_dose.sync(dose.id, client=client, body=TakeInputRequest(event_id=uuid4(), quantity="1.5")))
assert (taken.status, taken.quantity) == (DoseStatus.TAKEN, "1.5")
assert had(get_current_adherence.sync(client=client)).taken == 1

device = DeviceInputRequest(token=str(uuid4()), platform=PlatformEnum.IOS)
assert [known.id for known in had(list_devices.sync(client=client)).results] == []
assert had(list_devices.sync(client=client)).has_more is False
registered = had(register_device.sync(client=client, body=device))
assert [known.id for known in had(list_devices.sync(client=client)).results] == [registered.id]

conflict = snooze_dose.sync(dose.id, client=client, body=SnoozeInputRequest(minutes=5))
assert problem(conflict) == ProblemType.INVALIDTRANSITION

(first,) = had(list_sessions.sync(client=client)).results
again = LogInInputRequest(
    email=person.email,
    password=person.password,
    device_secret=credentials.device_secret,
    end_session=first.id,
)
second = had(log_in.sync(client=Client(base_url=url), body=again))
assert problem(get_me.sync(client=client)) == ProblemType.SESSIONENDED
client = AuthenticatedClient(base_url=url, token=second.access)
assert had(get_me.sync(client=client)).email == person.email
log_out.sync_detailed(client=client)
assert problem(get_me.sync(client=client)) == ProblemType.SESSIONENDED
print("Python: all requests were answered as expected")
