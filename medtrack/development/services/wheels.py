"""Where the wheels put the programs that they carry."""

from importlib.util import find_spec
from pathlib import Path

from medtrack.development.services.refusal import RefusalError


def program(package: str, *path: str) -> Path:
    # The packages themselves are not imported: one of them warns and creates folders when it is.
    spec = find_spec(package)
    found = [Path(place, *path) for place in (spec and spec.submodule_search_locations) or ()]
    if not found or not found[0].exists():
        raise RefusalError(f"{package} is not installed: run script/bootstrap.")
    return found[0]
