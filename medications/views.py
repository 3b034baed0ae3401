from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from medications import actions
from medications.models import Medication
from medications.querysets import MedicationQuerySet
from medications.serializers import MedicationInput, MedicationOutput, MedicationsQuery, NewMedicationInput
from medtrack.database.unique_ids import CREATED_ONCE
from medtrack.http.lists import ListView
from medtrack.http.pagination import Pagination
from medtrack.http.requests import queried, validated
from medtrack.http.responses import shown
from users.authentication import caller


class Medications(ListView[Medication]):
    queryset = Medication.objects.none()
    serializer_class = MedicationOutput
    pagination_class = Pagination

    def get_queryset(self) -> MedicationQuerySet:
        mine = Medication.objects.visible_to(caller(self.request))
        return mine.that_are(**queried(MedicationsQuery, self.request))

    @extend_schema(operation_id="listMedications", parameters=[MedicationsQuery])
    def get(self, request: Request) -> Response:
        return self.list(request)

    @extend_schema(
        operation_id="createMedication",
        request=NewMedicationInput,
        responses={201: MedicationOutput, 200: MedicationOutput},
        description=CREATED_ONCE,
    )
    def post(self, request: Request) -> Response:
        medication, created = actions.create_medication(
            by=caller(request), **validated(NewMedicationInput, request)
        )
        return Response(
            shown(MedicationOutput, medication),
            status=status.HTTP_201_CREATED if created else status.HTTP_200_OK,
        )


class MedicationDetail(APIView):
    """Reading and changing; `dosing` adds deleting, which reaches into the doses."""

    @extend_schema(operation_id="getMedication", responses=MedicationOutput)
    def get(self, request: Request, medication_id: UUID) -> Response:
        return Response(shown(MedicationOutput, visible_medication(request, medication_id)))

    @extend_schema(
        operation_id="updateMedication", request=MedicationInput(partial=True), responses=MedicationOutput
    )
    def patch(self, request: Request, medication_id: UUID) -> Response:
        visible_medication(request, medication_id)  # 404 comes before what is wrong with the body
        changes = validated(MedicationInput, request, partial=True)
        medication = actions.update_medication(
            medication_id=medication_id, by=caller(request), changes=changes
        )
        return Response(shown(MedicationOutput, medication))


def visible_medication(request: Request, medication_id: UUID) -> Medication:
    medication: Medication = get_object_or_404(
        Medication.objects.visible_to(caller(request)), id=medication_id
    )
    return medication
