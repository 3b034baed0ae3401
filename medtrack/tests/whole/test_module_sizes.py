from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
APPS = ("medtrack", "users", "medications", "dosing", "notifications")
MOST_LINES = 500


@pytest.mark.parametrize("app", APPS)
def test_no_test_module_has_more_than_500_lines(app: str) -> None:
    modules = [path for path in (ROOT / app).rglob("*.py") if "tests" in path.relative_to(ROOT).parts]
    assert modules
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def test_the_tests_that_depend_on_the_database_version_exist() -> None:
    # pytest-xdist runs nothing and says nothing when one of the files is missing.
    text = (ROOT / "script" / "test").read_text()
    names = text.split('needs_the_version="')[1].split('"')[0].split()
    assert [name for name in names if not (ROOT / name).is_file()] == []
    assert "notifications/tests/test_queue.py" in names
