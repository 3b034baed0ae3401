from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from medtrack.common.clock import database_now
from medtrack.common.pagination import Pagination
from medtrack.common.requests import validated
from notifications import actions
from notifications.models import DeviceToken
from notifications.querysets import DeviceTokenQuerySet
from notifications.serializers import DeviceInput, DeviceOutput
from users.authentication import caller, caller_session


class Devices(ListAPIView[DeviceToken]):
    queryset = DeviceToken.objects.none()
    serializer_class = DeviceOutput
    pagination_class = Pagination

    def get_queryset(self) -> DeviceTokenQuerySet:
        return DeviceToken.objects.visible_to(caller(self.request))

    @extend_schema(operation_id="listDevices")
    def get(self, request: Request) -> Response:
        return self.list(request)

    @extend_schema(
        operation_id="registerDevice", request=DeviceInput, responses={201: DeviceOutput, 200: DeviceOutput}
    )
    def post(self, request: Request) -> Response:
        device, created = actions.register_device(
            by=caller(request),
            session=caller_session(request),
            now=database_now(),
            **validated(DeviceInput, request),
        )
        return Response(
            DeviceOutput(device).data, status=status.HTTP_201_CREATED if created else status.HTTP_200_OK
        )


class DeviceDetail(APIView):
    @extend_schema(operation_id="removeDevice", responses={204: None})
    def delete(self, request: Request, device_id: UUID) -> Response:
        device = get_object_or_404(DeviceToken.objects.visible_to(caller(request)), id=device_id)
        actions.revoke_device(device=device, reason="removed_by_owner", now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
