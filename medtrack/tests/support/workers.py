"""A second worker for races: another thread with its own connection, which waits for a lock for 2 s at most."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def closing(job: Callable[..., T]) -> Callable[..., T]:
    """Returns the job for another thread; it closes the connection that the thread opened."""

    def work(*args: object) -> T:
        try:
            return job(*args)
        finally:
            connection.close()

    return work


def in_another_worker(job: Callable[[], T]) -> T:
    def work() -> T:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def wait_until_a_lock_is_waited_for() -> None:
    """Returns when another connection is stopped by a lock of this one."""
    with connection.cursor() as cursor:
        for _ in range(500):
            cursor.execute(
                "SELECT count(*) FROM pg_locks "
                "WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            if cursor.fetchone() != (0,):
                return
            sleep(0.01)
    raise TimeoutError("no other connection waits for a lock")
