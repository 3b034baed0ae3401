"""The command line: `python -m medtrack.development.fcm --directory DIR`."""

import argparse
import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from pathlib import Path

from medtrack.development.fcm import identity, server
from medtrack.development.fcm.application import Application
from medtrack.development.fcm.browsers import BrowserListener, Mailboxes

LEDGER = "ledger.jsonl"
ENDPOINT = "endpoint"
BROWSER_ENDPOINT = "browser-endpoint"


class StartError(Exception):
    """Says in one sentence why the stand-in cannot run."""


def main() -> int:
    options = _parser().parse_args()
    try:
        asyncio.run(_serve(options))
    except StartError as problem:
        print(f"FCM stand-in: {problem}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m medtrack.development.fcm", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="keeps keys, ledger and endpoint")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--browser-port", type=int, default=0, help="where pages listen for their pushes")
    parser.add_argument("--project", default="medtrack-local", help="the Firebase project id")
    parser.add_argument("--quiet", action="store_true", help="do not print accepted pushes")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    directory: Path = options.directory
    stopped = _stop_signal()
    listening, for_browsers = _prepare(directory, options.port, options.browser_port)
    url = f"https://{server.HOST}:{listening.getsockname()[1]}"
    mailboxes = Mailboxes()
    application = _application(options, url, stopped, mailboxes)
    running = server.Server(listening, directory, application.handle)
    browsers = BrowserListener(for_browsers, mailboxes)
    await running.start()
    await browsers.start()
    browser_url = f"http://{server.HOST}:{for_browsers.getsockname()[1]}"
    identity.write_atomically(directory / BROWSER_ENDPOINT, browser_url)
    identity.write_atomically(directory / ENDPOINT, url)
    print(f"FCM stand-in on {url}", flush=True)
    try:
        await stopped
    finally:
        (directory / ENDPOINT).unlink(missing_ok=True)
        (directory / BROWSER_ENDPOINT).unlink(missing_ok=True)
        running.stop_listening()
        await application.close()
        browsers.stop()
        await running.close_connections()


def _stop_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopped.done():
            stopped.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopped


def _prepare(directory: Path, *ports: int) -> list[socket.socket]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _lock(directory)
        (directory / ENDPOINT).unlink(missing_ok=True)
        identity.ensure_certificate(directory)
    except OSError as problem:
        raise StartError(f"cannot write to {directory}: {problem.strerror}.") from problem
    return [_listen(port) for port in ports]


def _listen(port: int) -> socket.socket:
    try:
        return server.listen(port)
    except (OSError, OverflowError) as problem:
        raise StartError(f"cannot listen on {server.HOST}:{port}: {problem}.") from problem


def _lock(directory: Path) -> None:
    """Holds until the process ends, however it ends: two would write the same ledger."""
    try:
        fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as problem:
        raise StartError(f"{directory} is in use by another FCM stand-in.") from problem


def _application(
    options: argparse.Namespace, url: str, stopped: asyncio.Future[None], mailboxes: Mailboxes
) -> Application:
    def on_failure(problem: OSError) -> None:
        if not stopped.done():
            stopped.set_exception(StartError(f"cannot write the ledger: {problem.strerror}."))

    directory: Path = options.directory
    try:
        return Application(
            identity.ensure_service_account(directory, project=options.project, url=url),
            directory / LEDGER,
            token_uri=f"{url}/token",
            show=None if options.quiet else _show,
            hand_over=lambda push: mailboxes.put(push, now=time.time()),
            on_failure=on_failure,
        )
    except OSError as problem:
        raise StartError(f"cannot write to {directory}: {problem.strerror}.") from problem
    except (ValueError, KeyError) as problem:
        path = directory / identity.SERVICE_ACCOUNT
        raise StartError(f"cannot read {path}: {problem}. Delete it to have a new one made.") from problem


def _show(line: str) -> None:
    # A terminal that was closed must not end the pushes.
    with contextlib.suppress(OSError):
        print(line, flush=True)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(main())
