"""The files for deployment agree with each other and with the code."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from honcho.environ import parse_procfile

from medtrack.database.role_names import ROLES, role_of
from medtrack.web.configuration import Configuration

ROOT = Path(__file__).resolve().parents[3]
PROCESSES = ("web", "worker", "mailer", "beat")


def read(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    compose: dict[str, Any] = yaml.safe_load(read("docker-compose.yml"))
    return dict(compose["services"])


def test_compose_starts_what_the_procfile_starts(services):
    procfile = dict(parse_procfile(read("Procfile")).processes)

    assert {name: services[name]["command"] for name in PROCESSES} == procfile


def test_the_image_starts_the_web_process_by_default():
    command = re.search(r"^CMD (\[.*\])$", read("Dockerfile"), re.MULTILINE)

    assert command
    assert " ".join(yaml.safe_load(command[1])) == parse_procfile(read("Procfile")).processes["web"]


@pytest.mark.parametrize(("service", "oldest"), [("postgres", 15), ("redis", 7)])
def test_the_services_are_new_enough(services, service, oldest):
    image, _, version = services[service]["image"].partition(":")

    assert image == service
    assert int(version) >= oldest


@pytest.mark.parametrize("service", ["postgres", "redis"])
def test_the_services_keep_their_data_and_have_health_checks(services, service):
    volume = services[service]["volumes"][0].partition(":")[0]

    assert volume in yaml.safe_load(read("docker-compose.yml"))["volumes"]
    assert services[service]["healthcheck"]["test"][0] == "CMD"


def test_nothing_starts_before_the_migrations_are_applied(services):
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    steps = ["python manage.py migrate --no-input", "python manage.py database_roles"]
    assert services["migrate"]["command"] == f'sh -c "{" && ".join(steps)}"'
    for name in PROCESSES:
        assert services[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "redis": {"condition": "service_healthy"},
        }


def test_all_processes_run_the_same_image_with_the_same_settings(services):
    def shared(name):
        settings = services[name]["environment"].items()
        return {key: value for key, value in settings if not key.startswith("DATABASE_")}

    for name in PROCESSES:
        assert services[name]["image"] == services["migrate"]["image"]
        assert shared(name) == shared("migrate")


def test_each_process_has_the_database_role_of_its_work_and_no_other_password(services):
    for name in PROCESSES:
        role = role_of(name)
        password = f"DATABASE_{role.removeprefix('medtrack_').upper()}_PASSWORD"
        url = services[name]["environment"]["DATABASE_URL"]
        assert url == f"postgresql://{role}:${{{password}:?choose one}}@postgres:5432/medtrack"
        assert re.findall(r"\$\{(\w+_PASSWORD)", str(services[name])) == [password]


def test_only_the_server_and_the_migrations_have_the_owners_password(services):
    have = {name for name, service in services.items() if "POSTGRES_PASSWORD" in str(service)}

    assert have == {"postgres", "migrate"}
    passwords = services["migrate"]["environment"].keys() & {
        "DATABASE_WEB_PASSWORD",
        "DATABASE_ENGINE_PASSWORD",
        "DATABASE_REPORT_PASSWORD",
    }
    assert len(passwords) == len(ROLES)


def test_two_beats_run(services):
    assert services["beat"]["deploy"]["replicas"] == 2


def test_only_the_proxy_can_be_reached_from_outside(services):
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert {port.rpartition(":")[2] for port in services["proxy"]["ports"]} == {"80", "443"}
    assert "EXPOSE" not in read("Dockerfile")


def test_web_and_the_proxy_agree_on_the_sockets_between_them(services):
    mounted = {
        name: [v for v in services[name]["volumes"] if v.startswith("sockets:")] for name in ("web", "proxy")
    }
    folder = re.search(r"WEB_SOCKETS=(\S+)", read("Dockerfile"))
    script = re.search(r"WEB_SOCKETS:-(\S+)\}", read("deploy/nginx/10-medtrack.envsh"))

    assert folder
    assert script
    assert folder[1] == script[1]
    assert mounted["web"] == mounted["proxy"] == [f"sockets:{folder[1]}"]
    for setting in ("WEB_PROCESSES", "TRUSTED_PROXIES"):
        assert services["web"]["environment"][setting] == services["proxy"]["environment"][setting]
    assert services["proxy"]["depends_on"] == {"web": {"condition": "service_healthy"}}


def test_the_proxy_has_its_configuration_and_no_secret(services):
    files = [volume.split(":")[0] for volume in services["proxy"]["volumes"] if volume.startswith("./")]

    assert all((ROOT / name).is_file() for name in files)
    # The image sources only scripts that may be executed.
    assert (ROOT / "deploy/nginx/10-medtrack.envsh").stat().st_mode & 0o111
    assert not any(name in services["proxy"]["environment"] for name in ("SECRET_KEY", "DATABASE_URL"))


def test_the_proxy_waits_as_long_as_the_watchdog():
    read_timeout = re.search(r"proxy_read_timeout (\d+)s;", read("deploy/nginx/nginx.conf.template"))

    assert read_timeout
    assert int(read_timeout[1]) == Configuration.read({}).hang_seconds


def test_the_env_example_names_exactly_the_variables_of_compose():
    used = set(re.findall(r"\$\{(\w+)", read("docker-compose.yml")))
    named = re.findall(r"^(\w+)=", read(".env.example"), re.MULTILINE)

    assert sorted(used) == sorted(named)


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

    assert {".*", "var", "tls", "**/tests", "medtrack/development"} <= set(ignored)


def test_a_web_thread_is_free_while_one_hashes_a_password_and_others_wait(settings):
    least = min(Configuration.read({"WEB_PROCESSES": str(number)}).threads for number in range(1, 9))
    assert least > 1 + settings.PASSWORD_HASHES_WAITING
