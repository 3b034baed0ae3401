"""Records every send request on disk before its answer is sent.

Lines that arrive together, or while the disk is busy, share one write and one fsync.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

Item = TypeVar("Item")

_BLOCK_BYTES = 65536


class Ledger(Generic[Item]):
    """Calls `on_durable` with the items of each batch after its lines are on disk, in order.

    After a write error it calls `on_failure` once and writes nothing more.
    """

    def __init__(
        self,
        path: Path,
        on_durable: Callable[[list[Item]], None],
        on_failure: Callable[[OSError], None],
    ) -> None:
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._lines: list[bytes] = []
        self._items: list[Item] = []
        self._flush: asyncio.Task[None] | None = None
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._cut_torn_line()

    def append(self, line: bytes, item: Item) -> None:
        # The running flush writes it, too, after the lines that it is writing now.
        self._lines.append(line)
        self._items.append(item)
        if self._flush is None:
            self._flush = asyncio.get_running_loop().create_task(self._flush_all())

    async def close(self) -> None:
        if self._flush is not None:
            await self._flush
        self._disk.shutdown()
        os.close(self._file)

    async def _flush_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._lines:
                data, items = b"\n".join([*self._lines, b""]), self._items
                self._lines, self._items = [], []
                await loop.run_in_executor(self._disk, self._write, data)
                self._on_durable(items)
        except OSError as problem:
            self._on_failure(problem)
            return  # `_flush` stays set, so that `append` starts no other flush
        self._flush = None

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        # os.write may write only a part.
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)

    def _cut_torn_line(self) -> None:
        """Removes an incomplete last line. The process was killed while writing it, before the answer."""
        # Searches the last line break backwards, block by block.
        size = whole = os.fstat(self._file).st_size
        while whole > 0:
            start = max(0, whole - _BLOCK_BYTES)
            newline = os.pread(self._file, whole - start, start).rfind(b"\n")
            if newline >= 0:
                whole = start + newline + 1
                break
            whole = start
        if whole < size:
            os.ftruncate(self._file, whole)
