"""Starts the web processes, and restarts each that ends or hangs, after growing pauses."""

import asyncio
import signal
import time
from typing import Any

from medtrack.web.configuration import Address, Configuration
from medtrack.web.process import WebProcess
from medtrack.web.watchdog import CHECK_SECONDS, Watchdog

# After a run of this length the pauses are short again.
LONG_RUN_SECONDS = 60
LONGEST_PAUSE_SECONDS = 30


class NeverLoaded(Exception):
    """A process ended before any has loaded the application. A restart would not help: a setting is wrong."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Launcher:
    def __init__(self, configuration: Configuration, log: Any) -> None:
        self._configuration = configuration
        self._log = log
        self._has_loaded = False

    async def run(self) -> int:
        """Runs until SIGTERM or SIGINT. Returns the exit status."""
        for folder in {address.probes.parent for address in self._configuration.addresses}:
            folder.mkdir(parents=True, exist_ok=True)
        tasks = asyncio.gather(*(self._keep_running(each) for each in self._configuration.addresses))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, tasks.cancel)
        try:
            await tasks
        except asyncio.CancelledError:
            return 0
        except NeverLoaded as failure:
            # A negative status is the number of a signal, which is no exit status.
            return failure.status if failure.status > 0 else 1
        return 0

    async def _keep_running(self, address: Address) -> None:
        short_runs = 0
        while True:
            began = time.monotonic()
            process = await WebProcess.start(address, self._configuration.threads)
            try:
                reason = await self._watch(process)
            finally:
                await process.stop()
            self._has_loaded |= process.has_loaded
            if not self._has_loaded:
                raise NeverLoaded(await process.ended())
            # The first restart after a long run is immediate.
            short_runs = 0 if time.monotonic() - began > LONG_RUN_SECONDS else short_runs + 1
            pause = min(2**short_runs, LONGEST_PAUSE_SECONDS) if short_runs else 0
            self._log.error("web_process_restarted", address=str(address), reason=reason, pause=pause)
            await asyncio.sleep(pause)

    async def _watch(self, process: WebProcess) -> str:
        """Returns the reason when the process has ended or was killed because it hung."""
        ended = asyncio.ensure_future(process.ended())
        watchdog = Watchdog(self._configuration.hang_seconds)
        try:
            while not ended.done():
                observation = await process.observe()
                if process.is_running and watchdog.hangs(observation, time.monotonic()):
                    await process.kill()
                    return f"it hung with {observation.running} running requests"
                await asyncio.wait([ended], timeout=CHECK_SECONDS)
            return f"it ended with status {await ended}"
        finally:
            ended.cancel()
