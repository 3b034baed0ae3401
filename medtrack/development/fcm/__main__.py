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
from medtrack.development.fcm.browsers import BrowserServer, Mailboxes

LEDGER = "ledger.jsonl"
ENDPOINT = "endpoint"
BROWSER_ENDPOINT = "browser-endpoint"


class StartError(Exception):
    """A sentence that says why the stand-in cannot run."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m medtrack.development.fcm", description=__doc__)
    parser.add_argument(
        "--directory", type=Path, required=True, help="for the keys, the ledger and the endpoint"
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--browser-port", type=int, default=0, help="for web pages that receive pushes")
    parser.add_argument("--project", default="medtrack-local", help="the Firebase project id")
    parser.add_argument("--quiet", action="store_true", help="do not print accepted pushes")
    options = parser.parse_args()
    try:
        asyncio.run(serve(options))
    except StartError as error:
        print(f"FCM stand-in: {error}", file=sys.stderr)
        return 1
    return 0


async def serve(options: argparse.Namespace) -> None:
    """Runs until SIGINT or SIGTERM. Raises StartError."""
    directory: Path = options.directory
    stopped = stop_signal()
    prepare_directory(directory)
    api_socket, browser_socket = listen(options.port), listen(options.browser_port)
    url = f"https://{server.HOST}:{api_socket.getsockname()[1]}"
    mailboxes = Mailboxes()
    application = load_application(options, url, stopped, mailboxes)
    api_server = server.Server(api_socket, directory, application.handle)
    browser_server = BrowserServer(browser_socket, mailboxes)
    await api_server.start()
    await browser_server.start()
    # The program that starts this one waits for the endpoint's file, so it is written last.
    browser_url = f"http://{server.HOST}:{browser_socket.getsockname()[1]}"
    identity.write_atomically(directory / BROWSER_ENDPOINT, browser_url)
    identity.write_atomically(directory / ENDPOINT, url)
    print(f"FCM stand-in on {url}", flush=True)
    try:
        await stopped
    finally:
        (directory / ENDPOINT).unlink(missing_ok=True)
        (directory / BROWSER_ENDPOINT).unlink(missing_ok=True)
        # Every request that was received is recorded and answered before its connection is closed.
        api_server.stop_listening()
        await application.close()
        browser_server.stop()
        await api_server.close_connections()


def stop_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopped.done():
            stopped.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopped


def prepare_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            # Two stand-ins would write the same ledger. The lock ends with the process, however it ends.
            fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError(f"{directory} is in use by another FCM stand-in.") from error
        (directory / ENDPOINT).unlink(missing_ok=True)
        identity.ensure_certificate(directory)
    except OSError as error:
        raise StartError(f"cannot write to {directory}: {error.strerror}.") from error


def listen(port: int) -> socket.socket:
    try:
        return server.listen(port)
    except (OSError, OverflowError) as error:
        raise StartError(f"cannot listen on {server.HOST}:{port}: {error}.") from error


def load_application(
    options: argparse.Namespace, url: str, stopped: asyncio.Future[None], mailboxes: Mailboxes
) -> Application:
    def print_line(line: str) -> None:
        # A closed terminal must not stop the pushes.
        with contextlib.suppress(OSError):
            print(line, flush=True)

    def on_failure(error: OSError) -> None:
        if not stopped.done():
            stopped.set_exception(StartError(f"cannot write the ledger: {error.strerror}."))

    directory: Path = options.directory
    try:
        return Application(
            identity.ensure_service_account(directory, project=options.project, url=url),
            directory / LEDGER,
            token_uri=f"{url}/token",
            print_line=None if options.quiet else print_line,
            hand_over=lambda push: mailboxes.put(push, now=time.time()),
            on_failure=on_failure,
        )
    except OSError as error:
        raise StartError(f"cannot write to {directory}: {error.strerror}.") from error
    except (ValueError, KeyError) as error:
        path = directory / identity.SERVICE_ACCOUNT
        raise StartError(f"cannot read {path}: {error}. Delete it to have a new one made.") from error


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(main())
