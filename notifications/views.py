from uuid import UUID

from django.utils.translation import get_language
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dosing.views import schedules
from medtrack.api.erasure import erase_person
from medtrack.database.clock import database_now
from medtrack.http.lists import ListView
from medtrack.http.openapi import DeletionWithBody
from medtrack.http.pagination import Key, Pagination, instant
from medtrack.http.requests import queried, validated
from medtrack.http.responses import shown
from notifications import actions
from notifications.actions import PushState
from notifications.inbox import entries
from notifications.models import DeviceToken, NotificationLog
from notifications.querysets import DeviceTokenQuerySet
from notifications.serializers import (
    AcknowledgementInput,
    AcknowledgementOutput,
    DeviceInput,
    DeviceOutput,
    NotificationOutput,
    NotificationSettingsInput,
    NotificationSettingsOutput,
    NotificationsOutput,
    NotificationsQuery,
    ReadAllInput,
    TestPushOutput,
    TraceOutput,
)
from notifications.trace import trace
from notifications.trace_history import history_of
from users.actions.erasing import require_presence
from users.authentication import caller, caller_session
from users.serializers import ErasureInput
from users.views import count_own_guess


class Devices(ListView[DeviceToken]):
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
        result = actions.register_device(
            by=caller(request),
            session=caller_session(request),
            now=database_now(),
            **validated(DeviceInput, request),
        )
        return Response(
            shown(DeviceOutput, result.object),
            status=status.HTTP_201_CREATED if result.changed else status.HTTP_200_OK,
        )


class DeviceDetail(APIView):
    @extend_schema(operation_id="removeDevice", responses={204: None})
    def delete(self, request: Request, device_id: UUID) -> Response:
        actions.revoke_device(
            device_id=device_id, by=caller(request), reason="removed_by_owner", now=database_now()
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class TestDevice(APIView):
    @extend_schema(
        operation_id="testDevice",
        request=None,
        responses={202: TestPushOutput},
        description="Sends a test push to this device alone, at most five an hour, and thirty to all devices together.",
    )
    def post(self, request: Request, device_id: UUID) -> Response:
        test = actions.send_test_push(device_id=device_id, by=caller(request), now=database_now())
        return Response(shown(TestPushOutput, test), status=status.HTTP_202_ACCEPTED)


class TraceDose(APIView):
    @extend_schema(
        operation_id="traceDose",
        responses=TraceOutput,
        description="Every decision about the dose's reminders, in order: why one came, or why none did.",
    )
    def get(self, request: Request, dose_id: UUID) -> Response:
        history = history_of(dose_id, visible_to=caller(request), now=database_now())
        return Response(shown(TraceOutput, trace(history)))


class AcknowledgeNotification(APIView):
    @extend_schema(
        operation_id="acknowledgeNotification",
        request=AcknowledgementInput,
        responses=AcknowledgementOutput,
        description=(
            "The phone of this session says how far a push came. The id is the `notification_id` of the push's data. "
            "The first word about each state counts; a repeat is the same answer."
        ),
    )
    def post(self, request: Request, notification_id: UUID) -> Response:
        said = validated(AcknowledgementInput, request)
        acknowledgement = actions.acknowledge(
            notification_id=notification_id,
            state=PushState(said["state"]),
            occurred_at=said.get("occurred_at"),
            by=caller(request),
            session=caller_session(request),
            now=database_now(),
        )
        return Response(shown(AcknowledgementOutput, acknowledgement))


class InboxPages(Pagination):
    keys = (Key("send_at", instant), Key("id", UUID))


class Notifications(APIView):
    @extend_schema(
        operation_id="listNotifications",
        parameters=[NotificationsQuery, *InboxPages.parameters()],
        responses=NotificationsOutput,
        description="Every visible push that FCM accepted for some device of the caller, newest first.",
    )
    def get(self, request: Request) -> Response:
        user = caller(request)
        pushes = NotificationLog.objects.shown_to(user).one_per_push()
        unread = queried(NotificationsQuery, request).get("unread")
        if unread is not None:
            pushes = pushes.filter(read_at__isnull=unread)
        pages = InboxPages()
        page = pages.paginate_queryset(pushes, request)
        results = entries(page, user=user, language=get_language() or user.language)
        return Response(shown(NotificationsOutput, pages.page(results)))


class ReadNotification(APIView):
    @extend_schema(operation_id="readNotification", request=None, responses=NotificationOutput)
    def post(self, request: Request, notification_id: UUID) -> Response:
        user = caller(request)
        read = actions.read_notification(notification_id=notification_id, by=user, now=database_now())
        (entry,) = entries([read], user=user, language=get_language() or user.language)
        return Response(shown(NotificationOutput, entry))


class ReadAllNotifications(APIView):
    @extend_schema(operation_id="readAllNotifications", request=ReadAllInput, responses={204: None})
    def post(self, request: Request) -> Response:
        said = validated(ReadAllInput, request)
        actions.read_all_notifications(by=caller(request), now=database_now(), **said)
        return Response(status=status.HTTP_204_NO_CONTENT)


class Me(schedules.Me):
    """Reading and changing are of the apps below; erasing reaches into all of them."""

    schema = DeletionWithBody()

    @extend_schema(
        operation_id="deleteMe",
        tags=["me"],
        request=ErasureInput,
        responses={204: None},
        description=(
            "Erases everything about the caller for good: medications, schedules, doses, reminders, devices and "
            "sign-ins. Not what they recorded for others, where nothing but an empty person stays."
        ),
    )
    def delete(self, request: Request) -> Response:
        user, now = caller(request), database_now()
        password = validated(ErasureInput, request).get("password")
        count_own_guess(request)
        require_presence(user=user, session=caller_session(request), password=password, now=now)
        erase_person(user=user, now=now)
        return Response(status=status.HTTP_204_NO_CONTENT)


class NotificationSettings(APIView):
    @extend_schema(operation_id="getNotificationSettings", responses=NotificationSettingsOutput)
    def get(self, request: Request) -> Response:
        return Response(shown(NotificationSettingsOutput, caller(request)))

    @extend_schema(
        operation_id="replaceNotificationSettings",
        request=NotificationSettingsInput,
        responses=NotificationSettingsOutput,
    )
    def put(self, request: Request) -> Response:
        settings = validated(NotificationSettingsInput, request)
        user = actions.replace_settings(user=caller(request), now=database_now(), **settings)
        return Response(shown(NotificationSettingsOutput, user))
