"""Lets the processes of one web server count in one folder, so that any of them can answer `/metrics`.

This is prometheus_client's multiprocess mode. The library chooses it when it is imported, so `share` must be
called before that.
"""

import os
import shutil
from pathlib import Path

NAME = "PROMETHEUS_MULTIPROC_DIR"


def share(root: Path) -> None:
    """Chooses the folder of the supervising process below `root`, unless the environment names one.

    Removes the folders of supervisors that have ended. So the counters start at 0 with each supervisor, as
    Prometheus expects of a restart. When the folder cannot be written, each process counts for itself.
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
    """Returns the ids of the running processes that count in this folder, including this one."""
    pids = {os.getpid()}
    for file in Path(os.environ.get(NAME) or os.devnull).glob("*.db"):
        name = file.stem.rpartition("_")[2]
        if not name.isdigit():
            continue
        # The kernel reuses ids of ended processes, so the parents must be right, too.
        parent = _parent(int(name))
        if _supervisor() in (parent, _parent(parent) if parent else None):
            pids.add(int(name))
    return pids


def _supervisor() -> int:
    """Returns the id of the web launcher, whose grandchildren the web processes are, or of the parent."""
    return int(os.environ.get("MEDTRACK_SUPERVISOR") or os.getppid())


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None
