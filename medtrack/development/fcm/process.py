"""Starts the stand-in as a process and controls it; for tests and benches."""

import ctypes
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from http.client import HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

START_SECONDS = 20
STOP_SECONDS = 5

_PR_SET_PDEATHSIG = 1
_PROJECT_ROOT = Path(__file__).resolve().parents[3]


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel kills the child when its parent ends, also by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class FcmStandin:
    def __init__(self, directory: Path, process: subprocess.Popen[bytes], url: str) -> None:
        self.directory = directory
        self.process = process
        self.url = url
        self.browser_url = (directory / "browser-endpoint").read_text()
        self.certificate_file = directory / "certificate.pem"

    @classmethod
    def start(
        cls, directory: Path, *, project: str = "medtrack-local", port: int = 0, quiet: bool = True
    ) -> Self:
        """Returns when it listens. Writes its output to `output.log` in the same directory."""
        directory = directory.resolve()
        directory.mkdir(parents=True, exist_ok=True)
        endpoint = directory / "endpoint"
        # The process writes this file when it listens; an old one is of a killed process.
        endpoint.unlink(missing_ok=True)
        command = [sys.executable, "-m", "medtrack.development.fcm", "--directory", str(directory)]
        command += ["--port", str(port), "--project", project, *(["--quiet"] if quiet else [])]
        with (directory / "output.log").open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                cwd=_PROJECT_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent,
            )
        _wait_for(endpoint, process)
        return cls(directory, process, endpoint.read_text())

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 443

    @property
    def service_account(self) -> dict[str, str]:
        account: dict[str, str] = json.loads((self.directory / "service-account.json").read_text())
        return account

    def output(self) -> str:
        return (self.directory / "output.log").read_text()

    def ledger(self) -> list[dict[str, Any]]:
        """Returns every complete line; the stand-in may be writing the last one."""
        # After the last line break there is nothing, or an incomplete line.
        *lines, _unfinished = (self.directory / "ledger.jsonl").read_text().split("\n")
        return [json.loads(line) for line in lines]

    def arm(
        self,
        fault: str,
        *,
        times: int = 1,
        retry_after: float | None = None,
        token: str | None = None,
        seconds: float | None = None,
    ) -> None:
        content = {
            "fault": fault,
            "times": times,
            "retry_after": retry_after,
            "token": token,
            "seconds": seconds,
        }
        self.control("POST", "/standin/faults", content)

    def clear_faults(self) -> None:
        self.control("DELETE", "/standin/faults")

    def set_latency(self, seconds: float) -> None:
        self.control("PUT", "/standin/latency", {"seconds": seconds})

    def state(self) -> dict[str, Any]:
        return self.control("GET", "/standin")

    def control(self, method: str, path: str, content: object = None) -> dict[str, Any]:
        """Raises ValueError with the stand-in's message when it refuses the request."""
        context = ssl.create_default_context(cafile=str(self.certificate_file))
        connection = HTTPSConnection("127.0.0.1", self.port, context=context, timeout=10)
        try:
            connection.request(method, path, json.dumps(content))
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(f"{method} {path}: {answer['error']}")
        return answer

    def stop(self) -> int:
        """Sends SIGTERM and returns the exit status."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()


def _wait_for(endpoint: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not endpoint.exists():
        if process.poll() is not None:
            output = (endpoint.parent / "output.log").read_text()
            raise RuntimeError(f"The FCM stand-in did not start: {output}")
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise RuntimeError(f"The FCM stand-in did not listen within {START_SECONDS} s.")
        time.sleep(0.01)
