"""Imports run one way, as pyproject.toml says."""

from importlinter.cli import lint_imports


def test_imports_run_one_way() -> None:
    assert lint_imports(no_cache=True) == 0
