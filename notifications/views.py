from uuid import UUID

from django.utils.translation import get_language
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from medtrack.database.clock import database_now
from medtrack.http.lists import ListView
from medtrack.http.openapi import documented
from medtrack.http.pagination import Key, Pagination, instant
from medtrack.http.person_limits import LimitReached
from medtrack.http.requests import validated_body, validated_query
from medtrack.http.responses import created, serialized
from notifications import actions, examples
from notifications.actions import DeviceRevoked, NotSentYet, PushState, TooManyTests
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
    PresenceOutput,
    PresenceQuery,
    ReadAllInput,
    TestPushOutput,
    TraceOutput,
)
from notifications.trace import trace
from notifications.trace_history import history_of
from notifications.trace_presence import presence_of
from users.authentication import caller, caller_session


class Devices(ListView[DeviceToken]):
    queryset = DeviceToken.objects.none()
    serializer_class = DeviceOutput
    pagination_class = Pagination

    def get_queryset(self) -> DeviceTokenQuerySet:
        return DeviceToken.objects.visible_to(caller(self.request))

    @documented("listDevices", "List my devices, newest first")
    def get(self, request: Request) -> Response:
        return self.list(request)

    @documented(
        "registerDevice",
        "Register a device for pushes",
        LimitReached,
        request=DeviceInput,
        responses={201: DeviceOutput, 200: DeviceOutput},
        request_example=examples.NEW_DEVICE,
        response_example=examples.DEVICE,
    )
    def post(self, request: Request) -> Response:
        result = actions.register_device(
            by=caller(request),
            session=caller_session(request),
            now=database_now(),
            **validated_body(DeviceInput, request, output=DeviceOutput),
        )
        return created(DeviceOutput, result.object, result.changed)


class DeviceDetail(APIView):
    @documented("removeDevice", "Remove a device", responses={204: None})
    def delete(self, request: Request, device_id: UUID) -> Response:
        actions.revoke_device(
            device_id=device_id, by=caller(request), reason="removed_by_owner", now=database_now()
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class TestDevice(APIView):
    @documented(
        "testDevice",
        "Send a test push to a device",
        DeviceRevoked,
        TooManyTests,
        request=None,
        responses={202: TestPushOutput},
        description="At most 5 an hour to one device, and 30 to all devices of the caller.",
    )
    def post(self, request: Request, device_id: UUID) -> Response:
        test = actions.send_test_push(device_id=device_id, by=caller(request), now=database_now())
        return Response(serialized(TestPushOutput, test), status=status.HTTP_202_ACCEPTED)


class TraceDate(APIView):
    @documented(
        "traceDate",
        "Explain why a schedule has a dose on a date or has none",
        NotFound,
        parameters=[PresenceQuery],
        responses=PresenceOutput,
        description=(
            "For a dose that is written, its trace. For another one, whether it is planned, or what is the reason that "
            "there is none, and who made the change that is the reason."
        ),
        response_example=examples.PRESENCE,
    )
    def get(self, request: Request) -> Response:
        query = validated_query(PresenceQuery, request)
        presence = presence_of(
            query["schedule"],
            query["date"],
            ordinal=query["ordinal"],
            visible_to=caller(request),
            now=database_now(),
        )
        return Response(serialized(PresenceOutput, presence))


class TraceDose(APIView):
    @documented(
        "traceDose",
        "Explain why a reminder was or was not sent",
        responses=TraceOutput,
        description="Every decision about the dose's reminders, in order of time.",
    )
    def get(self, request: Request, dose_id: UUID) -> Response:
        history = history_of(dose_id, visible_to=caller(request), now=database_now())
        return Response(serialized(TraceOutput, trace(history)))


class AcknowledgeNotification(APIView):
    @documented(
        "acknowledgeNotification",
        "Acknowledge a push",
        NotSentYet,
        request=AcknowledgementInput,
        responses=AcknowledgementOutput,
        description=(
            "Records that a push arrived at the device of this session, was shown or was opened. The id is the "
            "`notification_id` of the push's data. Only the first acknowledgement of each state is recorded; a repeated "
            "request has the same response."
        ),
    )
    def post(self, request: Request, notification_id: UUID) -> Response:
        fields = validated_body(AcknowledgementInput, request)
        acknowledgement = actions.acknowledge(
            notification_id=notification_id,
            state=PushState(fields["state"]),
            occurred_at=fields.get("occurred_at"),
            by=caller(request),
            session=caller_session(request),
            now=database_now(),
        )
        return Response(serialized(AcknowledgementOutput, acknowledgement))


class InboxPages(Pagination):
    keys = (Key("send_at", instant), Key("id", UUID))


class Notifications(APIView):
    @documented(
        "listNotifications",
        "List my pushes, newest first",
        parameters=[NotificationsQuery, *InboxPages.parameters()],
        responses=NotificationsOutput,
        description="Every visible push that FCM accepted for at least one device of the caller, newest first.",
    )
    def get(self, request: Request) -> Response:
        user = caller(request)
        pushes = NotificationLog.objects.shown_to(user).one_per_push()
        unread = validated_query(NotificationsQuery, request).get("unread")
        if unread is not None:
            pushes = pushes.filter(read_at__isnull=unread)
        pages = InboxPages()
        page = pages.paginate_queryset(pushes, request)
        results = entries(page, user=user, language=get_language() or user.language)
        return Response(serialized(NotificationsOutput, pages.page(results)))


class ReadNotification(APIView):
    @documented("readNotification", "Mark a push as read", request=None, responses=NotificationOutput)
    def post(self, request: Request, notification_id: UUID) -> Response:
        user = caller(request)
        read = actions.read_notification(notification_id=notification_id, by=user, now=database_now())
        (entry,) = entries([read], user=user, language=get_language() or user.language)
        return Response(serialized(NotificationOutput, entry))


class ReadAllNotifications(APIView):
    @documented(
        "readAllNotifications", "Mark all pushes as read", request=ReadAllInput, responses={204: None}
    )
    def post(self, request: Request) -> Response:
        fields = validated_body(ReadAllInput, request)
        actions.read_all_notifications(by=caller(request), now=database_now(), **fields)
        return Response(status=status.HTTP_204_NO_CONTENT)


class NotificationSettings(APIView):
    @documented(
        "getNotificationSettings", "Read my notification settings", responses=NotificationSettingsOutput
    )
    def get(self, request: Request) -> Response:
        return Response(serialized(NotificationSettingsOutput, caller(request)))

    @documented(
        "replaceNotificationSettings",
        "Replace my notification settings",
        request=NotificationSettingsInput,
        responses=NotificationSettingsOutput,
        request_example=examples.REMINDING,
    )
    def put(self, request: Request) -> Response:
        settings = validated_body(NotificationSettingsInput, request)
        user = actions.replace_settings(by=caller(request), now=database_now(), **settings)
        return Response(serialized(NotificationSettingsOutput, user))
