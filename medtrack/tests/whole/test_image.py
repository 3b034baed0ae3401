"""What .dockerignore lets into the image is enough to migrate, check and run the product."""

import shutil
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from medtrack.tests.support.running_product import ROOT, RunningProduct


def image_of(project: Path, target: Path) -> Path:
    """Copies what `COPY . .` copies. Understands names, `*` and a leading `**/` in .dockerignore, no `!`."""
    lines = (project / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    anywhere = [pattern.removeprefix("**/") for pattern in patterns if pattern.startswith("**/")]

    def ignored(folder: str, names: list[str]) -> set[str]:
        paths = {name: Path(folder, name).relative_to(project).as_posix() for name in names}
        return {
            name
            for name, path in paths.items()
            # In Docker's patterns `*` stops at a slash.
            if any(path.count("/") == p.count("/") and fnmatch(path, p) for p in patterns)
            or any(fnmatch(name, pattern) for pattern in anywhere)
        }

    return Path(shutil.copytree(project, target, ignore=ignored))


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    """The product in the image's tree, with its migrations applied and its static files collected."""
    directory = tmp_path_factory.mktemp("product")
    with RunningProduct(directory, project=image_of(ROOT, directory / "image")) as product:
        product.manage("collectstatic", "--no-input")
        yield product


def test_neither_tests_nor_development_get_into_the_image(product: RunningProduct) -> None:
    names = {path.name for path in product.project.rglob("*")}

    assert {"manage.py", "settings.py", "schema.yml", "django.mo"} <= names
    assert {"development", "tests", "bench", "conftest.py", ".git"}.isdisjoint(names)


def test_the_deployment_check_finds_nothing_to_warn_of(product: RunningProduct) -> None:
    product.manage("check", "--deploy", "--fail-level", "WARNING", SECURE_SSL_REDIRECT="true")


def test_the_worker_finds_its_tasks(product: RunningProduct) -> None:
    product.manage("shell", "-c", "from medtrack.celery import app; app.loader.import_default_modules()")


def test_the_web_process_answers_and_has_no_demo(product: RunningProduct) -> None:
    product.open()

    request = Request(f"http://127.0.0.1:{product.port}/demo/phone/", headers={"X-Forwarded-Proto": "https"})
    with pytest.raises(HTTPError) as refused:
        urlopen(request, timeout=20)
    with refused.value as answer:
        assert (answer.code, b'"NotFound"' in answer.read()) == (404, True)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        product.manage("create_demo")
    assert b"Unknown command: 'create_demo'" in failed.value.stderr
