"""One folder in which the processes of one web server count together, so that any of them can answer `/metrics`.

It is prometheus_client's multiprocess mode, which is chosen when that library is imported: `share` must come before.
"""

import os
import shutil
from pathlib import Path

NAME = "PROMETHEUS_MULTIPROC_DIR"


def share(root: Path) -> None:
    """Counts in a folder per supervising process, unless the supervisor named one; removes those of dead supervisors.

    Counters begin anew with the supervisor, as Prometheus expects of a restart. Where nothing can be written, each
    process counts for itself.
    """
    if os.environ.get(NAME):
        return
    folder = root / str(_supervisor())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for other in root.iterdir():
            if not Path("/proc", other.name).exists():
                shutil.rmtree(other, ignore_errors=True)
    except OSError:
        return
    os.environ[NAME] = str(folder)


def sharing_processes() -> set[int]:
    """The living processes that count in this folder, this one among them."""
    found = {os.getpid()}
    for file in Path(os.environ.get(NAME) or os.devnull).glob("*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and _supervisor() in _ancestors(int(pid)):
            found.add(int(pid))
    return found


def _supervisor() -> int:
    """The launcher of the web processes, whose grandchildren they are; otherwise the parent."""
    return int(os.environ.get("MEDTRACK_SUPERVISOR") or os.getppid())


def _ancestors(pid: int) -> tuple[int | None, int | None]:
    """The parent and its parent, so that a number that another process has got by now is told apart."""
    parent = _parent(pid)
    return parent, _parent(parent) if parent else None


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None
