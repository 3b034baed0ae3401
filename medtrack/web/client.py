"""One HTTP request to a web process, over TCP or a Unix socket, for the launcher and for health checks."""

import asyncio
import json
from pathlib import Path
from typing import Any

SECONDS = 2
MOST_BYTES = 65_536

Place = tuple[str, int] | Path


async def ask(place: Place, path: str) -> tuple[int, bytes] | None:
    """The status and the body; None when no whole answer comes in time."""
    try:
        async with asyncio.timeout(SECONDS):
            return await _ask(place, path)
    except (OSError, TimeoutError, ValueError, IndexError):
        return None


async def ask_json(place: Place, path: str) -> dict[str, Any] | None:
    answer = await ask(place, path)
    try:
        content = json.loads(answer[1]) if answer else None
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


async def _ask(place: Place, path: str) -> tuple[int, bytes]:
    if isinstance(place, Path):
        reader, writer = await asyncio.open_unix_connection(place)
    else:
        reader, writer = await asyncio.open_connection(*place)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        await writer.drain()
        answer = b""
        while len(answer) < MOST_BYTES and (part := await reader.read(MOST_BYTES)):
            answer += part
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body
