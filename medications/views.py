from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from medications import actions, examples
from medications.models import Medication
from medications.querysets import MedicationQuerySet
from medications.serializers import MedicationInput, MedicationOutput, MedicationsQuery, NewMedicationInput
from medtrack.database.unique_ids import CREATED_ONCE
from medtrack.http.lists import ListView
from medtrack.http.openapi import documented
from medtrack.http.pagination import Pagination
from medtrack.http.person_limits import LimitReached
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
        return mine.with_state(**validated_query(MedicationsQuery, self.request))

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
        result = actions.create_medication(by=caller(request), **fields)
        return created(MedicationOutput, result.object, result.changed)


class MedicationDetail(APIView):
    @documented(
        "getMedication", "Read a medication", responses=MedicationOutput, response_example=examples.MEDICATION
    )
    def get(self, request: Request, medication_id: UUID) -> Response:
        return Response(serialized(MedicationOutput, _medication(request, medication_id)))

    @documented(
        "updateMedication",
        "Change a medication",
        TooManyEdits,
        request=MedicationInput(partial=True),
        responses=MedicationOutput,
    )
    def patch(self, request: Request, medication_id: UUID) -> Response:
        present = _medication(request, medication_id)  # 404 for the path comes before 400 for the body
        changes = validated_body(
            MedicationInput, request, partial=True, output=MedicationOutput, present=present
        )
        result = actions.update_medication(medication_id=medication_id, by=caller(request), changes=changes)
        return Response(serialized(MedicationOutput, result.object))


def _medication(request: Request, medication_id: UUID) -> Medication:
    medication: Medication = get_object_or_404(
        Medication.objects.visible_to(caller(request)), id=medication_id
    )
    return medication
