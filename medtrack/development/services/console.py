"""The terminal output of `serve`: its own messages, and the lines of its processes with their names."""

import itertools
import sys
from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from threading import Lock, Thread

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from medtrack.development.services.processes import Child

NAME_WIDTH = len("worker")
FLUSH_SECONDS = 1


class Console:
    def __init__(self) -> None:
        self._printer = Printer(sys.stdout, width=NAME_WIDTH)
        colours = itertools.cycle(get_colours())
        self._colours: dict[str, str] = defaultdict(lambda: next(colours))
        self._lock = Lock()
        self._readers: list[Thread] = []

    def write(self, text: str) -> None:
        # An error of a closed terminal must not prevent stopping the processes.
        with self._lock, suppress(OSError):
            print(text, flush=True)

    def relay(self, child: Child) -> None:
        """Prints what the child writes, from a thread of its own."""
        reader = Thread(target=self._relay, args=(child, self._colours[child.name]), daemon=True)
        reader.start()
        self._readers.append(reader)

    def finish(self) -> None:
        """Waits until the last lines of stopped processes are printed."""
        for reader in self._readers:
            reader.join(FLUSH_SECONDS)

    def _relay(self, child: Child, colour: str) -> None:
        for line in child.process.stdout or ():
            # honcho prints the local time.
            now = datetime.now().astimezone()
            message = Message(type="line", data=line, time=now, name=child.name, colour=colour)
            with self._lock, suppress(OSError):
                self._printer.write(message)
