"""One web process: granian, started, looked at, and ended."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path

from medtrack.web.client import Place, ask, ask_json
from medtrack.web.configuration import Address
from medtrack.web.lifeline import die_with_parent
from medtrack.web.watchdog import Sighting

# Requests that still run get so long to end; granian then kills its worker, and we granian.
GRACE_SECONDS = 10
STOP_SECONDS = GRACE_SECONDS + 2
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound
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
        for left_behind in filter(None, (address.socket, address.probes)):
            left_behind.unlink(missing_ok=True)
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
        """Whether its worker came as far as to answer probes."""
        return self.address.probes.exists()

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def answers(self) -> bool:
        """Whether a request through its own HTTP port is answered."""
        return (await ask(self._http, "/livez")) is not None

    async def look(self) -> Sighting:
        if await self.answers():
            return Sighting(answered=True)
        doing = await ask_json(self.address.probes, "/activity") or {}
        ready = await ask_json(self.address.probes, "/readyz") or {} if doing else {}
        return Sighting(
            running=doing.get("running"),
            finished=doing.get("finished"),
            is_database_there=ready.get("database") == "ok",
            is_paused=self._is_paused(),
        )

    async def stop(self) -> None:
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended(), STOP_SECONDS)
        await self.kill()

    async def kill(self) -> None:
        """The worker goes with granian, as it asked the kernel for."""
        if self.is_running:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self.ended()

    @property
    def _http(self) -> Place:
        return self.address.socket or (_ANYWHERE.get(self.address.host, self.address.host), self.address.port)

    def _is_paused(self) -> bool:
        """Stopped by a signal or a debugger, granian or its worker."""
        try:
            pid = self._process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            stats = [Path(f"/proc/{each}/stat").read_text() for each in (pid, *children)]
        except OSError:
            return False
        # The state follows the program's name, which may hold anything, in parentheses.
        return any(stat.rpartition(")")[2].split()[0] in "Tt" for stat in stats)
