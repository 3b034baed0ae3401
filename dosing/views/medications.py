from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dosing.actions import schedules
from dosing.actions.clones import clone_medication
from dosing.as_needed import next_allowed, usual_quantity
from dosing.serializers import NextAllowedOutput, NextAllowedQuery
from medications.models import Medication
from medications.serializers import CloneInput, MedicationOutput
from medtrack.database.clock import database_now, process_now
from medtrack.database.unique_ids import CREATED_ONCE
from medtrack.http.openapi import documented
from medtrack.http.person_limits import LimitReached
from medtrack.http.problems import IdConflict
from medtrack.http.requests import validated_body, validated_query
from medtrack.http.responses import created, serialized
from users.authentication import caller
from users.rates import TooManyEdits


class DeleteMedication(APIView):
    @documented(
        "deleteMedication", "Delete a medication; its history stays", TooManyEdits, responses={204: None}
    )
    def delete(self, request: Request, medication_id: UUID) -> Response:
        schedules.delete_medication(medication_id=medication_id, by=caller(request), now=database_now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class PauseMedication(APIView):
    @documented(
        "pauseMedication",
        "Pause a medication: no dose of it falls due",
        TooManyEdits,
        request=None,
        responses=MedicationOutput,
    )
    def post(self, request: Request, medication_id: UUID) -> Response:
        result = schedules.pause_medication(
            medication_id=medication_id, by=caller(request), now=database_now()
        )
        return Response(serialized(MedicationOutput, result.object))


class ResumeMedication(APIView):
    @documented(
        "resumeMedication", "Resume a medication", TooManyEdits, request=None, responses=MedicationOutput
    )
    def post(self, request: Request, medication_id: UUID) -> Response:
        result = schedules.resume_medication(
            medication_id=medication_id, by=caller(request), now=database_now()
        )
        return Response(serialized(MedicationOutput, result.object))


class CloneMedication(APIView):
    @documented(
        "cloneMedication",
        "Clone a medication with its schedules",
        IdConflict,
        LimitReached,
        TooManyEdits,
        request=CloneInput,
        responses={201: MedicationOutput, 200: MedicationOutput},
        description=(
            "Creates a medication like this one, with its schedules. They start today, or when the copied "
            "ones will start later, and their doses are planned before the response. Schedules that have "
            "ended, the stock, and "
            "a pause are not copied. " + CREATED_ONCE
        ),
    )
    def post(self, request: Request, medication_id: UUID) -> Response:
        result = clone_medication(
            medication_id=medication_id,
            by=caller(request),
            now=database_now(),
            **validated_body(CloneInput, request),
        )
        return created(MedicationOutput, result.object, result.changed)


class NextAllowedIntake(APIView):
    @documented(
        "getNextAllowedIntake",
        "Ask when the next intake is allowed",
        parameters=[NextAllowedQuery],
        responses=NextAllowedOutput,
        description=(
            "Whether an intake of this `quantity` (by default the medication's usual one) is allowed now by "
            "the limits of its as-needed schedules, and when the next one is. Nothing is recorded."
        ),
    )
    def get(self, request: Request, medication_id: UUID) -> Response:
        medication = visible_medication(request, medication_id)
        quantity = validated_query(NextAllowedQuery, request).get("quantity")
        answer = next_allowed(medication, quantity=quantity or usual_quantity(medication), now=process_now())
        return Response(serialized(NextAllowedOutput, answer))


def visible_medication(request: Request, medication_id: UUID) -> Medication:
    medication: Medication = get_object_or_404(
        Medication.objects.visible_to(caller(request)), id=medication_id
    )
    return medication
