"""A PostgreSQL and a Redis of their own, which a test may kill and start again with the same data and addresses."""

import os
import shutil
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil

from medtrack.development.services import postgres, redis
from medtrack.development.services.folders import used_alone
from medtrack.development.services.ports import free_port
from medtrack.development.services.processes import SIGNALS, Supervisor
from medtrack.development.services.run import PREFIX

# What is committed survives a crash of the server, as in production. A crash of the machine is not among the faults.
SETTINGS = {"fsync": "off", "synchronous_commit": "on", "max_connections": "200"}


class OwnServices:
    def __enter__(self) -> Self:
        self._redis_port = free_port()
        with ExitStack() as stack:
            self._postgres = stack.enter_context(_Service())
            self._redis = stack.enter_context(_Service())
            self.start_postgres()
            self.start_redis()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def start_postgres(self) -> None:
        version = postgres.chosen_version(os.environ)
        supervisor, folder = self._postgres.begin()
        self.database_url = postgres.start(supervisor, folder, version=version, settings=SETTINGS)

    def stop_postgres_at_once(self) -> None:
        """As `pg_ctl stop -m immediate`: no checkpoint, every session cut, recovery at the next start."""
        self._postgres.end(signal.SIGQUIT)

    def start_redis(self) -> None:
        supervisor, folder = self._redis.begin()
        self.redis_url = redis.start(supervisor, folder, port=self._redis_port)

    def kill_redis(self) -> None:
        self._redis.end(signal.SIGKILL)

    @property
    def postgres_process(self) -> psutil.Process:
        return self._postgres.process

    def signal_redis(self, number: signal.Signals) -> None:
        self._redis.tell(number)


class _Service:
    """One process, in a folder that the next run removes if this one is killed."""

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._stack, self._running = ExitStack(), ExitStack()
        self._stack.callback(shutil.rmtree, self._folder)
        self._stack.enter_context(used_alone(self._folder))
        return self

    def __exit__(self, *error: object) -> None:
        self._running.close()
        self._stack.close()

    def begin(self) -> tuple[Supervisor, Path]:
        self._running.close()
        listening = {number: signal.getsignal(number) for number in SIGNALS}
        self._supervisor = self._running.enter_context(Supervisor(self._folder / "processes"))
        for number, handler in listening.items():  # a test run ends by Ctrl-C as always
            signal.signal(number, handler)
        return self._supervisor, self._folder

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self._supervisor.children[0].process.pid)

    def tell(self, number: signal.Signals) -> None:
        self._supervisor.children[0].process.send_signal(number)

    def end(self, number: signal.Signals) -> None:
        self.tell(number)
        self._supervisor.children[0].process.wait()
