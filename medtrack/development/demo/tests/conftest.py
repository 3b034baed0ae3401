import pytest
from pytest_django import Settings


@pytest.fixture
def installed_demo(settings: Settings) -> None:
    """Installs and routes the demo, as DEBUG=true does when the settings are loaded."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "medtrack.development.demo"]
    settings.ROOT_URLCONF = "medtrack.development.demo.tests.urls"
