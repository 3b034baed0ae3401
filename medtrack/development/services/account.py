"""The Unix account that PostgreSQL runs as: it refuses root, so root uses an account without rights."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

# Options of setpriv. They let the account pass through folders that only root may enter, such as /root.
PASS_CLOSED_FOLDERS = [
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
    "--securebits=+no_setuid_fixup",
]


# The account without rights and files that every Linux system has.
UNPRIVILEGED = 65534


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int

    @classmethod
    def for_data(cls, data: Path) -> Self:
        """Returns the current account; for root the owner of `data`, or an account without rights."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        if data.exists() and data.stat().st_uid != 0:
            return cls(data.stat().st_uid, data.stat().st_gid)
        entry = pwd.getpwuid(UNPRIVILEGED)
        return cls(entry.pw_uid, entry.pw_gid)

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        os.chown(folder, self.uid, self.gid)

    def command(self, program: Path, *arguments: str, data: Path) -> list[str]:
        """Returns the command that runs the program as this account, with access to the data."""
        if self.uid == os.geteuid():
            return [str(program), *arguments]
        # Not su or sudo: setpriv replaces itself by the program, so that signals reach the program.
        change = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        if _is_closed(program) or _is_closed(data):
            change += PASS_CLOSED_FOLDERS
        return [*change, str(program), *arguments]


def _is_closed(path: Path) -> bool:
    return any(not folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)
