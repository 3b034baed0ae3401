import pytest
from django.test import Client

from medtrack.tests.builders import PASSWORD
from users.actions import Credentials
from users.models import User


@pytest.fixture
def staff(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("staff@example.com", PASSWORD, language="en"))
    return client


def test_smoke(staff: Client, ana: Credentials) -> None:
    page = staff.get(f"/admin/console/patient/{ana.user.id}/change/")
    assert page.status_code == 200
