from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from medications import actions, examples
from medications.models import Medication, MedicationEvent
from medications.querysets import MedicationQuerySet
from medications.serializers import (
    MedicationEventOutput,
    MedicationOutput,
    MedicationsQuery,
    NewMedicationInput,
)
from medtrack.database.clock import database_now, process_now
from medtrack.database.unique_ids import CREATED_ONCE
from medtrack.http.lists import ListView
from medtrack.http.openapi import documented
from medtrack.http.pagination import Key, Pagination, instant
from medtrack.http.person_limits import LimitReached
from medtrack.http.preconditions import Versioned
from medtrack.http.problems import IdConflict
from medtrack.http.requests import validated_body, validated_query
from medtrack.http.responses import created, serialized
from users.authentication import caller
from users.rates import TooManyEdits


class Medications(ListView[Medication]):
    queryset = Medication.objects.none()
    serializer_class = MedicationOutput
    pagination_class = Pagination

    def get_queryset(self) -> MedicationQuerySet:
        mine = Medication.objects.visible_to(caller(self.request))
        return mine.with_state(now=process_now(), **validated_query(MedicationsQuery, self.request))

    @documented("listMedications", "List my medications, newest first", parameters=[MedicationsQuery])
    def get(self, request: Request) -> Response:
        return self.list(request)

    @documented(
        "createMedication",
        "Add a medication",
        IdConflict,
        LimitReached,
        TooManyEdits,
        request=NewMedicationInput,
        responses={201: MedicationOutput, 200: MedicationOutput},
        description=CREATED_ONCE,
        request_example=examples.NEW_MEDICATION,
        response_example=examples.MEDICATION,
    )
    def post(self, request: Request) -> Response:
        fields = validated_body(NewMedicationInput, request, output=MedicationOutput)
        result = actions.create_medication(by=caller(request), now=database_now(), **fields)
        return created(MedicationOutput, result.object, result.changed)


class MedicationDetail(APIView):
    @documented(
        "getMedication", "Read a medication", responses=MedicationOutput, response_example=examples.MEDICATION
    )
    def get(self, request: Request, medication_id: UUID) -> Response:
        mine = Medication.objects.visible_to(caller(request))
        return Versioned(serialized(MedicationOutput, get_object_or_404(mine, id=medication_id)))


class EventPagination(Pagination):
    keys = (Key("recorded_at", instant), Key("id", UUID))


class MedicationHistory(ListView[MedicationEvent]):
    queryset = MedicationEvent.objects.none()
    serializer_class = MedicationEventOutput
    pagination_class = EventPagination

    def get_queryset(self) -> QuerySet[MedicationEvent]:
        # A deleted medication keeps its history.
        mine = Medication.objects.filter(user=caller(self.request))
        medication = get_object_or_404(mine, id=self.kwargs["medication_id"])
        return MedicationEvent.objects.filter(medication=medication)

    @documented(
        "listMedicationEvents",
        "Read who changed a medication, newest first",
        tags=["medications"],
        description="Changes of its schedules are included. The history stays when the medication is deleted.",
    )
    def get(self, request: Request, medication_id: UUID) -> Response:
        return self.list(request)
