"""What `serve` shows: its own sentences, and every line of its processes with their names before it."""

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
        self._one_at_a_time = Lock()
        self._readers: list[Thread] = []

    def say(self, text: str) -> None:
        # A terminal that was closed must not keep us from stopping what we started.
        with self._one_at_a_time, suppress(OSError):
            print(text, flush=True)

    def relay(self, child: Child) -> None:
        reader = Thread(target=self._relay, args=(child, self._colours[child.name]), daemon=True)
        reader.start()
        self._readers.append(reader)

    def finish(self) -> None:
        """Lets the last lines of stopped processes out."""
        for reader in self._readers:
            reader.join(FLUSH_SECONDS)

    def _relay(self, child: Child, colour: str) -> None:
        for line in child.process.stdout or ():
            now = datetime.now().astimezone()
            message = Message(type="line", data=line, time=now, name=child.name, colour=colour)
            with self._one_at_a_time, suppress(OSError):
                self._printer.write(message)
