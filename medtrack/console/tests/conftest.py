"""A superuser who is signed in to the console, and a phone of Ana."""

import pytest
from django.test import Client

from medtrack.tests.support.builders import (
    PASSWORD,
    device_of,
)
from notifications.models import DeviceToken
from users.actions import Credentials
from users.models import User


@pytest.fixture
def superuser(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("staff@example.com", PASSWORD, language="en"))
    return client


@pytest.fixture
def phone(ana: Credentials) -> DeviceToken:
    return device_of(ana.user)
