"""The web processes as deployed: tests observe, pause and kill the launcher, granian and the worker."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from medtrack.tests.support.own_services import OwnServices
from medtrack.tests.support.running_product import ROOT, RunningProduct, eventually
from medtrack.web.client import get, get_json
from medtrack.web.configuration import Configuration, ConfigurationError

HANG_SECONDS = 3
FOREVER = "3600"
CHUNKS = (
    "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Transfer-Encoding: chunked\r\n\r\n5\r\n{"
)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[RunningProduct]:
    with RunningProduct(tmp_path_factory.mktemp("product")) as product:
        yield product


@contextmanager
def web(product: RunningProduct, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = product.start("web", **environment)
    eventually(lambda: product.answers("livez"))
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(30) == 0


def workers(launcher: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Returns the worker of each granian."""
    processes = [
        worker for granian in psutil.Process(launcher.pid).children() for worker in granian.children()
    ]
    return sorted(processes, key=lambda worker: worker.pid)


def probes(product: RunningProduct) -> Path:
    return product.directory / "sockets" / f"probes-{product.port}.sock"


def status(product: RunningProduct, path: str) -> int:
    answer = asyncio.run(get(probes(product), path))
    return answer[0] if answer else 0


def until_watched(product: RunningProduct) -> None:
    """Waits for a request of the watchdog: the test itself sends none meanwhile."""
    before = activity(product)["finished"]
    eventually(lambda: activity(product)["finished"] > before)


def signal_all(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # a connection that was about to end
            process.send_signal(number)


def get_me(product: RunningProduct, token: str) -> None:
    product.api("GET", "me", token=token)


def backends(product: RunningProduct) -> int:
    """Returns the number of other connections to the database."""
    sql = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    return len(product.rows(sql))


@contextmanager
def all_threads_busy(product: RunningProduct) -> Iterator[None]:
    """All threads read request bodies that do not end; no proxy buffers them."""
    with ExitStack() as stack:
        for _ in range(8):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", product.port)))
            connection.sendall(CHUNKS.encode())
        eventually(lambda: activity(product).get("running") == 4)
        yield


def activity(product: RunningProduct) -> dict[str, Any]:
    return asyncio.run(get_json(probes(product), "/activity")) or {}


def test_a_worker_whose_threads_are_all_busy_answers_probes(product: RunningProduct) -> None:
    with web(
        product, WEB_HANG_SECONDS=FOREVER, METRICS_TOKEN="a-token-of-the-tests", DEBUG="true"
    ) as process:
        with all_threads_busy(product):
            assert not product.answers("livez")
            assert [status(product, path) for path in ("/livez", "/readyz", "/metrics", "/admin/")] == [
                *(200, 200, 401, 404)
            ]
            command = [sys.executable, "-m", "medtrack.web", "check"]
            assert subprocess.run(command, cwd=ROOT, env=product.environment, check=False).returncode == 0
        eventually(lambda: product.answers("livez"))
        assert len(workers(process)) == 1


def test_a_worker_that_hangs_is_killed_and_restarted(product: RunningProduct) -> None:
    with web(product, WEB_HANG_SECONDS=str(HANG_SECONDS)) as process:
        (before,) = workers(process)
        with all_threads_busy(product):
            eventually(lambda: not before.is_running())
        eventually(lambda: product.answers("livez"))
        assert "web_process_restarted" in (product.directory / "web.log").read_text()


@pytest.mark.parametrize("victim", ["worker", "granian"])
def test_a_killed_process_is_restarted(product: RunningProduct, victim: str) -> None:
    with web(product) as process:
        (worker,) = workers(process)
        (worker if victim == "worker" else worker.parent()).kill()
        eventually(lambda: not worker.is_running())
        eventually(lambda: product.answers("livez"))


def test_no_process_is_left_of_a_killed_launcher(product: RunningProduct) -> None:
    process = product.start("web")
    eventually(lambda: product.answers("livez"))
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not any(each.is_running() and each.status() != "zombie" for each in family))


def test_a_paused_worker_is_not_killed(product: RunningProduct) -> None:
    with web(product, WEB_HANG_SECONDS="1") as process:
        (worker,) = workers(process)
        until_watched(product)
        worker.suspend()
        # Longer than two checks; one would be enough to end it.
        time.sleep(15)
        worker.resume()
        eventually(lambda: product.answers("livez"))
        assert workers(process) == [worker]


def test_each_of_several_processes_listens_on_its_own_port(product: RunningProduct) -> None:
    with web(product, WEB_PROCESSES="2") as process:
        eventually(lambda: len(workers(process)) == 2)
        second = product.directory / "sockets" / f"probes-{product.port + 1}.sock"
        eventually(lambda: asyncio.run(get(second, "/livez")))
        assert asyncio.run(get(("127.0.0.1", product.port + 1), "/livez")) == (200, b"ok")


def test_a_process_that_never_loads_is_not_restarted(product: RunningProduct) -> None:
    process = product.start("web", PROXY_COUNT="1")
    assert process.wait(60) == 1
    assert "it is no longer read" in (product.directory / "web.log").read_text()


def test_a_database_that_hangs_ends_no_process(tmp_path: Path) -> None:
    services = OwnServices()
    with RunningProduct(tmp_path, services) as product, web(product, WEB_HANG_SECONDS="1") as process:
        (worker,) = workers(process)
        person = {"email": "ana@example.com", "password": "a password of Ana's"}
        token = product.api("POST", "auth/signup", person)["access"]
        until_watched(product)
        with ThreadPoolExecutor(8) as pool:  # until every thread has its connection
            eventually(
                lambda: list(pool.map(lambda _: get_me(product, token), range(8))) and backends(product) >= 4
            )
        database = [services.postgres_process, *services.postgres_process.children(recursive=True)]
        signal_all(database, signal.SIGSTOP)
        with ExitStack() as stack:
            request = f"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
            for _ in range(8):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", product.port)))
                connection.sendall(request.encode())
            eventually(lambda: activity(product).get("running") == 4)
            assert status(product, "/livez") == 200
            # Longer than three checks; two would be enough to end it.
            time.sleep(25)
            signal_all(database, signal.SIGCONT)
            eventually(lambda: product.answers("readyz"))
        assert workers(process) == [worker]


@pytest.mark.parametrize(
    ("environ", "remedy"),
    [
        ({"WEB_PROCESSES": "0"}, "WEB_PROCESSES is '0': write a whole number from 1 to 64."),
        ({"WEB_PROCESSES": "many"}, "WEB_PROCESSES is 'many'"),
        ({"WEB_HANG_SECONDS": "-1"}, "WEB_HANG_SECONDS is '-1'"),
        ({"GRANIAN_PORT": "65536"}, "GRANIAN_PORT is '65536'"),
        ({"GRANIAN_PORT": "65535", "WEB_PROCESSES": "2"}, "GRANIAN_PORT is '65535'"),
        ({"WEB_LISTEN": "udp"}, "WEB_LISTEN is 'udp': write tcp or unix."),
        ({"WEB_SOCKETS": f"/{'x' * 100}"}, "name a shorter folder with WEB_SOCKETS."),
    ],
)
def test_an_invalid_setting_is_refused_with_its_remedy(environ: dict[str, str], remedy: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Configuration.read(environ)
    assert remedy in str(refused.value)


def test_the_number_of_threads_by_the_number_of_processes() -> None:
    configurations = [Configuration.read({"WEB_PROCESSES": str(number)}) for number in (1, 2, 3, 8)]
    assert [each.threads for each in configurations] == [4, 3, 3, 3]
