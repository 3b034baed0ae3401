"""One web process: starts, observes and stops a granian."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path

from medtrack.web.client import get, get_json
from medtrack.web.configuration import Address
from medtrack.web.lifeline import die_with_parent
from medtrack.web.watchdog import Observation

# Running requests have this long to finish. Then granian kills its worker, and the launcher kills granian.
GRACE_SECONDS = 10
STOP_SECONDS = GRACE_SECONDS + 2
# How to connect to a server that listens on all addresses.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
GRANIAN = [
    *(sys.executable, "-m", "granian", "--interface", "wsgi", "--http", "1", "medtrack.wsgi:application"),
    *("--workers", "1", "--workers-kill-timeout", str(GRACE_SECONDS), "--log-level", "warning"),
]


class WebProcess:
    def __init__(self, address: Address, process: Process) -> None:
        self.address = address
        self._process = process

    @classmethod
    async def start(cls, address: Address, threads: int) -> "WebProcess":
        # A killed process leaves its sockets, and binding to an existing path fails.
        for socket in filter(None, (address.socket, address.probes)):
            socket.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            *(*GRANIAN, "--blocking-threads", str(threads), *address.arguments),
            env={
                **os.environ,
                "MEDTRACK_PROBES": str(address.probes),
                "MEDTRACK_SUPERVISOR": str(os.getpid()),
            },
            stdin=asyncio.subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        return cls(address, process)

    async def ended(self) -> int:
        return await self._process.wait()

    @property
    def has_loaded(self) -> bool:
        """Whether its worker has loaded the application and opened the socket for probes."""
        return self.address.probes.exists()

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def observe(self) -> Observation:
        host = _LOOPBACK.get(self.address.host, self.address.host)
        if await get(self.address.socket or (host, self.address.port), "/livez") is not None:
            return Observation(answered=True)
        # No request thread is free, or none works. The thread that answers probes says which.
        activity = await get_json(self.address.probes, "/activity") or {}
        readiness = await get_json(self.address.probes, "/readyz") or {} if activity else {}
        return Observation(
            running=activity.get("running"),
            finished=activity.get("finished"),
            is_database_available=readiness.get("database") == "ok",
            is_paused=self._is_paused(),
        )

    async def stop(self) -> None:
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended(), STOP_SECONDS)
        await self.kill()

    async def kill(self) -> None:
        """Kills granian; the kernel then kills the worker, which called `die_with_parent`."""
        if self.is_running:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self.ended()

    def _is_paused(self) -> bool:
        """Whether a signal or a debugger has stopped granian or its worker."""
        try:
            pid = self._process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            stats = [Path(f"/proc/{each}/stat").read_text() for each in (pid, *children)]
        except OSError:
            return False
        # The state follows the program's name, which is in parentheses and may contain any character.
        return any(stat.rpartition(")")[2].split()[0] in "Tt" for stat in stats)
