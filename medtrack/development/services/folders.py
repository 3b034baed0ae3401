"""The folder where a run keeps its data: writable, and used by one run at a time."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from medtrack.development.services.refusal import RefusalError


def open_var(environ: Mapping[str, str]) -> Path:
    """Returns the folder that MEDTRACK_VAR names, by default `var`; creates it when it is missing."""
    folder = Path(environ.get("MEDTRACK_VAR") or "var").absolute()
    remedy = "choose another folder with MEDTRACK_VAR."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Writing is tried: for root and in containers the permissions do not say whether it is possible.
        tempfile.TemporaryFile(dir=folder).close()
    except (FileExistsError, NotADirectoryError) as problem:
        reason = f"MedTrack keeps its data in the folder {folder}, but there is a file in its place"
        raise RefusalError(f"{reason}: move that file away or {remedy}") from problem
    except OSError as problem:
        raise RefusalError(
            f"Cannot write to {folder} ({problem.strerror}): make it writable or {remedy}"
        ) from problem
    return folder


@contextmanager
def used_alone(folder: Path) -> Iterator[None]:
    """Raises RefusalError when another process uses the folder."""
    with (folder / "lock").open("a+") as holder:
        try:
            # Child processes do not inherit such a lock, and it ends with this process, however it ends.
            fcntl.lockf(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            holder.seek(0)
            raise RefusalError(
                f"MedTrack is running in {folder} already (process {holder.read() or 'unknown'}):"
                " stop that one, or start one beside it"
                f" with PORT=8001 MEDTRACK_VAR={folder}-2 script/server."
            ) from problem
        # The next start names this process when it finds the folder locked.
        holder.truncate(0)
        holder.write(str(os.getpid()))
        holder.flush()
        yield


def write_private(path: Path, text: str) -> None:
    """Replaces the file atomically; only its owner may read it."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open(new, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    new.replace(path)
