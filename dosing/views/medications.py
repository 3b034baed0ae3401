from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dosing.actions import schedules
from dosing.actions.clones import clone_medication
from dosing.actions.medications import update_medication
from dosing.as_needed import next_allowed, usual_quantity
from dosing.serializers import NextAllowedOutput, NextAllowedQuery
from medications.examples import PAUSE
from medications.models import Medication
from medications.serializers import CloneInput, MedicationChanges, MedicationOutput, PauseInput
from medtrack.database.clock import database_now, process_now
from medtrack.database.unique_ids import CREATED_ONCE
from medtrack.http.openapi import documented
from medtrack.http.person_limits import LimitReached
from medtrack.http.preconditions import IF_MATCH, Changed, Versioned, allowed_versions
from medtrack.http.problems import IdConflict
from medtrack.http.requests import validated_body, validated_query
from medtrack.http.responses import created, serialized
from users.authentication import caller
from users.rates import TooManyEdits


class WriteMedication(APIView):
    @documented(
        "updateMedication",
        "Change a medication, archive it or bring it back",
        Changed,
        TooManyEdits,
        request=MedicationChanges(partial=True),
        responses=MedicationOutput,
        parameters=[IF_MATCH],
    )
    def patch(self, request: Request, medication_id: UUID) -> Response:
        # 404 for the path comes before 400 for the body.
        present = visible_medication(request, medication_id)
        changes = validated_body(
            MedicationChanges, request, partial=True, output=MedicationOutput, present=present
        )
        allowed = allowed_versions(request, version=changes.pop("version", None))
        result = update_medication(
            medication_id=medication_id,
            by=caller(request),
            changes=changes,
            now=database_now(),
            allowed_versions=allowed,
        )
        return Versioned(serialized(MedicationOutput, result.object))

    @documented(
        "deleteMedication",
        "Delete a medication; its history stays",
        ValidationError,
        Changed,
        TooManyEdits,
        responses={204: None},
        parameters=[IF_MATCH],
    )
    def delete(self, request: Request, medication_id: UUID) -> Response:
        schedules.delete_medication(
            medication_id=medication_id,
            by=caller(request),
            now=database_now(),
            allowed_versions=allowed_versions(request),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class PauseMedication(APIView):
    @documented(
        "pauseMedication",
        "Pause a medication: no dose of it falls due",
        TooManyEdits,
        request=PauseInput,
        responses=MedicationOutput,
        request_example=PAUSE,
        description=(
            "Without `until` the pause ends with `resume`. Of a paused medication this changes when the pause "
            "ends. Doses that fall due in a pause are not planned later and are never missed; only a pause of "
            "at most 30 minutes loses none."
        ),
    )
    def post(self, request: Request, medication_id: UUID) -> Response:
        visible_medication(request, medication_id)
        result = schedules.pause_medication(
            medication_id=medication_id,
            by=caller(request),
            now=database_now(),
            **validated_body(PauseInput, request),
        )
        return Versioned(serialized(MedicationOutput, result.object))


class ResumeMedication(APIView):
    @documented(
        "resumeMedication", "Resume a medication", TooManyEdits, request=None, responses=MedicationOutput
    )
    def post(self, request: Request, medication_id: UUID) -> Response:
        result = schedules.resume_medication(
            medication_id=medication_id, by=caller(request), now=database_now()
        )
        return Versioned(serialized(MedicationOutput, result.object))


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
