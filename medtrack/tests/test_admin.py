"""Staff see every table, and change nothing."""

import pytest
from django.contrib import admin
from django.test import Client
from django.utils import timezone

from medtrack.tests.builders import PASSWORD, device_of, dose_due
from notifications import queue
from users.actions import Credentials
from users.models import User

OURS = [model for model in admin.site._registry if model._meta.app_label not in ("auth",)]


@pytest.fixture
def staff(db: None, settings: object) -> Client:
    User.objects.create_superuser("staff@example.com", PASSWORD, language="en")
    client = Client()
    assert client.login(username="STAFF@example.com", password=PASSWORD)
    return client


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.db_table)
def test_staff_see_every_table_and_its_rows(staff: Client, ana: Credentials, model: type[User]) -> None:
    device_of(ana.user)
    dose_due(ana.user, timezone.now())
    queue.enqueue()
    meta = model._meta
    listing = f"/admin/{meta.app_label}/{meta.model_name}/"
    assert staff.get(listing).status_code == 200
    assert staff.get(f"{listing}?q=ana").status_code == 200
    assert staff.get(f"{listing}add/").status_code == 403
    row = model._default_manager.first()
    if row is not None:
        page = staff.get(f"{listing}{row.pk}/change/")
        assert page.status_code == 200
        assert b'name="_save"' not in page.content
        assert b"token-of-Ana" not in page.content


def test_what_staff_search_for_is_not_logged(staff: Client, caplog: pytest.LogCaptureFixture) -> None:
    staff.get("/admin/medications/medication/?q=canary")
    assert "GET /admin/medications/medication/" in caplog.text
    assert "canary" not in caplog.text


def test_the_admin_writes_no_groups_and_redirects_nowhere(staff: Client) -> None:
    assert staff.get("/admin/auth/group/add/").status_code == 404
    assert staff.get("/admin/r/1/abc/").status_code == 404


def test_patients_cannot_open_the_admin(ana: Credentials) -> None:
    client = Client()
    client.force_login(ana.user)
    assert client.get("/admin/").status_code == 302
