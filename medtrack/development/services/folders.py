"""The folder that a run keeps its things in: writable, and used by one run at a time."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from medtrack.development.services.refusal import RefusalError


def open_var(environ: Mapping[str, str]) -> Path:
    """`$MEDTRACK_VAR`, by default `var`; made when it is missing."""
    folder = Path(environ.get("MEDTRACK_VAR") or "var").absolute()
    other = "choose another folder with MEDTRACK_VAR."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (FileExistsError, NotADirectoryError) as problem:
        taken = f"MedTrack keeps its data in the folder {folder}, but there is a file in its place"
        raise RefusalError(f"{taken}: move that file away or {other}") from problem
    except OSError as problem:
        raise RefusalError(
            f"Cannot write to {folder} ({problem.strerror}): make it writable or {other}"
        ) from problem
    return folder


@contextmanager
def used_alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a+") as holder:
        try:
            # A lock of this process alone: children do not inherit it, and it ends when we are killed.
            fcntl.lockf(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            holder.seek(0)
            raise RefusalError(
                f"MedTrack is running in {folder} already (process {holder.read() or 'unknown'}): stop that one,"
                f" or start one beside it with PORT=8001 MEDTRACK_VAR={folder}-2 script/server."
            ) from problem
        holder.truncate(0)
        holder.write(str(os.getpid()))
        holder.flush()
        yield


def write_private(path: Path, text: str) -> None:
    """Replaces the file at once, readable by its owner only."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with open(fresh, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    fresh.replace(path)
