"""Sends one HTTP request to a web process over TCP or a Unix socket, for the launcher and health checks."""

import asyncio
import json
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 2
MAX_BYTES = 65_536

# A host and a port, or the path of a Unix socket.
Target = tuple[str, int] | Path


async def get(target: Target, path: str) -> tuple[int, bytes] | None:
    """Returns the status and the body, or None when no complete response arrives in time."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            if isinstance(target, Path):
                reader, writer = await asyncio.open_unix_connection(target)
            else:
                reader, writer = await asyncio.open_connection(*target)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                await writer.drain()
                # An HTTP/1.0 response ends with its connection.
                response = b""
                while len(response) < MAX_BYTES and (part := await reader.read(MAX_BYTES)):
                    response += part
            finally:
                writer.close()
            head, _, body = response.partition(b"\r\n\r\n")
            return int(head.split(b" ", 2)[1]), body
    except (OSError, TimeoutError, ValueError, IndexError):
        return None


async def get_json(target: Target, path: str) -> dict[str, Any] | None:
    """Returns the JSON object in the body, or None."""
    response = await get(target, path)
    try:
        content = json.loads(response[1]) if response else None
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
