"""Starts the web processes and keeps them running: one that ends or hangs is started anew, with growing pauses."""

import asyncio
import signal
import time
from typing import Any

from medtrack.web.configuration import Address, Configuration
from medtrack.web.process import WebProcess
from medtrack.web.watchdog import LOOK_SECONDS, Watchdog

# A life as long as this ends the growth of the pauses.
LONG_LIFE_SECONDS = 60
LONGEST_PAUSE_SECONDS = 30


class NeverLoaded(Exception):
    """A process ended before any has ever loaded the application: not an accident, but a setting."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Launcher:
    def __init__(self, configuration: Configuration, log: Any) -> None:
        self._configuration = configuration
        self._log = log
        self._has_loaded = False

    async def run(self) -> int:
        """Until SIGTERM or SIGINT. Returns the exit status."""
        for folder in {address.probes.parent for address in self._configuration.addresses}:
            folder.mkdir(parents=True, exist_ok=True)
        everything = asyncio.gather(*(self._keep_running(each) for each in self._configuration.addresses))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, everything.cancel)
        try:
            await everything
        except asyncio.CancelledError:
            return 0
        except NeverLoaded as failure:
            return failure.status if failure.status > 0 else 1
        return 0

    async def _keep_running(self, address: Address) -> None:
        short_lives = 0
        while True:
            began = time.monotonic()
            process = await WebProcess.start(address, self._configuration.threads)
            try:
                why = await self._watch(process)
            finally:
                await process.stop()
            self._has_loaded |= process.has_loaded
            if not self._has_loaded:
                raise NeverLoaded(await process.ended())
            short_lives = 0 if time.monotonic() - began > LONG_LIFE_SECONDS else short_lives + 1
            pause = min(2**short_lives, LONGEST_PAUSE_SECONDS) if short_lives else 0
            self._log.error("web_process_restarted", address=str(address), why=why, pause=pause)
            await asyncio.sleep(pause)

    async def _watch(self, process: WebProcess) -> str:
        """Returns when it has ended or is to be ended, saying why."""
        ended = asyncio.ensure_future(process.ended())
        watchdog = Watchdog(self._configuration.hang_seconds)
        try:
            while not ended.done():
                seen = await process.look()
                if process.is_running and watchdog.hangs(seen, time.monotonic()):
                    await process.kill()
                    return f"it hung: {seen.running} running"
                await asyncio.wait([ended], timeout=LOOK_SECONDS)
            return f"it ended with status {await ended}"
        finally:
            ended.cancel()
