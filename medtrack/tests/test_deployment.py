"""The files that a machine is set up from agree with each other."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from honcho.environ import parse_procfile

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = ("web", "worker", "mailer", "beat")


def read(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(read("docker-compose.yml"))["services"]
    return found


def test_compose_starts_what_the_procfile_starts(services):
    procfile = dict(parse_procfile(read("Procfile")).processes)

    assert {name: services[name]["command"] for name in PROCESSES} == procfile


def test_the_image_alone_is_the_web_process():
    command = re.search(r"^CMD (\[.*\])$", read("Dockerfile"), re.MULTILINE)

    assert command
    assert " ".join(yaml.safe_load(command[1])) == parse_procfile(read("Procfile")).processes["web"]


@pytest.mark.parametrize(("service", "oldest"), [("postgres", 16), ("redis", 7)])
def test_the_services_are_new_enough(services, service, oldest):
    image, _, version = services[service]["image"].partition(":")

    assert image == service
    assert int(version) >= oldest


@pytest.mark.parametrize("service", ["postgres", "redis"])
def test_the_services_keep_their_data_and_say_when_they_are_ready(services, service):
    volume = services[service]["volumes"][0].partition(":")[0]

    assert volume in yaml.safe_load(read("docker-compose.yml"))["volumes"]
    assert services[service]["healthcheck"]["test"][0] == "CMD"


def test_nothing_starts_before_the_migrations_are_applied(services):
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["migrate"]["command"] == "python manage.py migrate --no-input"
    for name in PROCESSES:
        assert services[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "redis": {"condition": "service_healthy"},
        }


def test_all_processes_run_the_same_image_with_the_same_settings(services):
    for name in PROCESSES:
        assert services[name]["image"] == services["migrate"]["image"]
        assert services[name]["environment"] == services["migrate"]["environment"]


def test_one_of_two_beats_may_die(services):
    assert services["beat"]["deploy"]["replicas"] == 2


def test_only_web_can_be_reached_from_outside(services):
    assert [name for name, service in services.items() if "ports" in service] == ["web"]


def test_the_example_of_env_names_exactly_what_compose_asks_for():
    asked = set(re.findall(r"\$\{(\w+)", read("docker-compose.yml")))
    named = re.findall(r"^(\w+)=", read(".env.example"), re.MULTILINE)

    assert sorted(asked) == sorted(named)


def test_one_python_version_everywhere():
    pyproject = tomllib.loads(read("pyproject.toml"))
    version = pyproject["tool"]["mypy"]["python_version"]

    assert pyproject["tool"]["ruff"]["target-version"] == f"py{version.replace('.', '')}"
    assert read("Dockerfile").startswith(f"FROM python:{version}-slim\n")
    assert f"--python-version {version} " in read("script/compile-requirements")
    assert f"python{version}" in read("script/bootstrap")


def test_the_image_installs_pinned_runtime_requirements_alone():
    install = re.search(r"pip install (.*)$", read("Dockerfile"), re.MULTILINE)

    assert install
    assert "--require-hashes --requirement requirements.txt" in install[1]
    assert "requirements-dev" not in read("Dockerfile")


def test_the_image_does_not_run_as_root():
    assert re.findall(r"^USER (\w+)$", read("Dockerfile"), re.MULTILINE) == ["medtrack"]


def test_no_secret_and_no_test_gets_into_the_image():
    ignored = read(".dockerignore").splitlines()

    assert {".*", "var", "**/tests", "medtrack/embedded", "notifications/fcm_standin"} <= set(ignored)


def test_a_thread_of_web_is_free_while_one_hashes_a_password_and_others_wait(settings):
    web = parse_procfile(read("Procfile")).processes["web"]
    threads = re.search(r"--blocking-threads (\d+)", web)

    assert threads
    assert int(threads[1]) > 1 + settings.PASSWORD_HASHES_WAITING
