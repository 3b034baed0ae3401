"""Salts are data, although some look like names of modules: what was made with them stays valid when modules move."""

from datetime import timedelta
from uuid import UUID

import pytest
import redis
from django.conf import settings as real_settings
from django.utils import timezone
from pytest_django import Settings

from medtrack.console.models import Invitation
from medtrack.console.sign_in.encryption import decrypt
from medtrack.console.staff.invitation_links import invitation_of
from medtrack.http.throttles import count

KEY = "a key of a test, long enough to be used as one"


def test_a_second_factor_that_was_encrypted_before_is_decrypted(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [KEY]
    encrypted = (
        "gAAAAABrCmQpSGS5eci_huR66LTiZn2V48SzJOH7-IxYdm52HyZKM1hPJSAKjS2y8EHjjb"
        "_mEIVXGAhLy_2E7wpGAdb4FTQva6F8Y683W_IMzYwER0JhlrU="
    )
    assert decrypt(encrypted) == "JBSWY3DPEHPK3PXP"


@pytest.mark.django_db
def test_a_link_that_was_mailed_before_still_leads_to_its_invitation(settings: Settings) -> None:
    settings.SECRET_KEY = KEY
    invitation = Invitation.objects.create(
        id=UUID("018f0000-0000-7000-8000-0000000000aa"),
        email="sofia@example.com",
        roles=["support"],
        language="en",
        expires_at=timezone.now() + timedelta(days=1),
    )
    token = "018f00000000700080000000000000aa.SHIcTcJWKniI1aZmLvuEkmXPBKn12fSmeCeTupzaMoc"
    assert invitation_of(token) == invitation


def test_uses_are_counted_under_the_name_of_before(settings: Settings) -> None:
    settings.SECRET_KEY = KEY
    count("login", "198.51.100.7")
    name = f"{settings.THROTTLE_PREFIX}:login:fd9a3960d84e813e764a866d896b1067"
    store = redis.Redis.from_url(real_settings.REDIS_URL)
    assert store.exists(name)
    store.delete(name)
