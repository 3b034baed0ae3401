"""The attacks of bench/neighbours.py: limited in number and time, each in a process of its own."""

import json
import multiprocessing
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Thread
from typing import Any
from uuid import uuid4

from medtrack.development.services.ports import HOST
from medtrack.tests.support.builders import PASSWORD

SLOW_BODIES = 16
FLUSHERS = 4
FLUSHES = 200
EVENTS = 500
LOGINS_PER_SECOND = 200 / 60
BURST = 150
BURST_SECONDS = 3.0

Attack = Callable[[float], None]


@dataclass
class Front:
    """The address of the API for clients. `certificate` is the proxy's, when it uses TLS."""

    port: int
    certificate: str = ""

    def connect(self, patience: float) -> HTTPConnection:
        if not self.certificate:
            return HTTPConnection(HOST, self.port, timeout=patience)
        context = ssl.create_default_context(cafile=self.certificate)
        return HTTPSConnection("localhost", self.port, timeout=patience, context=context)

    def send(
        self, method: str, path: str, body: bytes = b"", *, token: str = "", patience: float = 60
    ) -> Any:
        """Sends one request on a new connection. Returns status and body; raises OSError or HTTPException."""
        headers = {"Content-Type": "application/json", "X-Forwarded-Proto": "https"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = self.connect(patience)
        try:
            connection.request(method, f"/api/v1/{path}", body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: Any = None, *, token: str = "", patience: float = 60) -> Any:
        encoded = b"" if body is None else json.dumps(body).encode()
        status, answer = self.send(method, path, encoded, token=token, patience=patience)
        assert status < 300, f"{method} {path}: {status} {answer.decode()}"
        return json.loads(answer or b"null")

    def sign_up(self, name: str, zone: str = "UTC") -> str:
        person = {"email": f"{name}@example.com", "password": PASSWORD, "timezone": zone, "language": "en"}
        return str(self.ask("POST", "auth/signup", person)["access"])


def bodies(front: Front) -> Attack:
    """Sixteen connections that send their bodies byte by byte."""

    def drip(until: float) -> None:
        context = ssl.create_default_context(cafile=front.certificate) if front.certificate else None
        while time.time() < until:
            with suppress(OSError), socket.create_connection((HOST, front.port), timeout=5) as plain:
                stream = context.wrap_socket(plain, server_hostname="localhost") if context else plain
                stream.sendall(
                    b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    b"X-Forwarded-Proto: https\r\nContent-Length: 1000\r\n\r\n"
                )
                while time.time() < until:
                    stream.sendall(b" ")
                    time.sleep(0.5)

    return lambda until: in_threads(drip, SLOW_BODIES, until)


def flushes(front: Front) -> Attack:
    """One account flushes 500 as-needed intakes at a time and sends lists of a million zeros, four at once."""
    access = front.sign_up("flusher")
    medication = front.ask("POST", "medications", {"name": "Ibuprofen"}, token=access)["id"]
    schedule = {"scheduled_time": "00:01", "cycle_type": "as_needed", "cycle_value": {"max_per_day": 100}}
    front.ask("POST", f"medications/{medication}/schedules", schedule, token=access)
    zeros = b'{"events": [' + b"0," * 1_000_000 + b"0]}"

    def flush(until: float) -> None:
        for number in range(FLUSHES):
            if time.time() >= until:
                return
            intake = {"action": "intake", "medication_id": medication}
            intakes = [intake | {"event_id": str(uuid4())} for _ in range(EVENTS)]
            body = zeros if number % 2 else json.dumps({"events": intakes}).encode()
            with suppress(OSError, HTTPException):
                front.send("POST", "doses/events", body, token=access)

    return lambda until: in_threads(flush, FLUSHERS, until)


def logins(front: Front) -> Attack:
    """200 sign-ins a minute."""

    def knock(until: float) -> None:
        while time.time() < until:
            Thread(target=sign_in, args=(front, until), daemon=True).start()
            time.sleep(1 / LOGINS_PER_SECOND)

    return knock


def burst(front: Front) -> Attack:
    """150 sign-ins at once from one address, every three seconds."""

    def knock(until: float) -> None:
        while time.time() < until:
            next_one = time.time() + BURST_SECONDS
            in_threads(lambda until: sign_in(front, until), BURST, until)
            time.sleep(max(next_one - time.time(), 0))

    return knock


ATTACKS: dict[str, Callable[[Front], Attack]] = {
    "bodies": bodies,
    "flushes": flushes,
    "logins": logins,
    "burst": burst,
}


def sign_in(front: Front, until: float) -> None:
    """Signs in to an unknown account, which takes as much time as for a known one."""
    body = json.dumps({"email": f"{uuid4().hex}@example.com", "password": "a guess"}).encode()
    with suppress(OSError, HTTPException):
        front.send("POST", "auth/login", body, patience=max(until - time.time(), 1))


def in_threads(attack: Attack, times: int, until: float) -> None:
    threads = [Thread(target=attack, args=(until,)) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def attacking(attack: Attack, seconds: float) -> Iterator[None]:
    """Runs the attack in a process of its own, so that its Python code does not delay the neighbour's."""
    process = multiprocessing.get_context("fork").Process(target=attack, args=(time.time() + seconds,))
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()
