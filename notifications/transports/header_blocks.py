"""HPACK for a client that sends the same headers again and again and wants two of those it receives.

The tables and Huffman's code are those of the `hpack` library. It is slow, so each block goes through it once.
"""

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from hpack import Decoder, Encoder, HPACKError
from hpack.table import table_entry_size

# We use no more of a larger table, so that a connection's share of the server's memory stays as it is.
TABLE_SIZE = 4096
LARGEST_LIST = 16_384

Headers = Sequence[tuple[bytes, bytes]]

logging.getLogger("hpack").setLevel(logging.INFO)  # at DEBUG it logs the access token


class Blocks(NamedTuple):
    """The same headers for the first request of a connection and for all that follow."""

    first: bytes
    steady: bytes


class Head(NamedTuple):
    """What we read of an answer's headers; 0 if there is no status, as in trailers."""

    status: int
    retry_after: str


@lru_cache(maxsize=4)  # twenty connections begin, and change the token, with the same
def encode(headers: Headers, table_size: int, *, is_renewed: bool) -> Blocks:
    """Headers that fit into the peer's table are entered with the first request and are a few bytes from then
    on.

    `is_renewed`: other headers, or another size, were there before; the peer's table is emptied first.
    """
    encoder = Encoder()
    if is_renewed:
        encoder.header_table_size = 0
    if table_size != encoder.header_table_size:
        encoder.header_table_size = table_size
    is_indexed = sum(table_entry_size(name, value) for name, value in headers) <= table_size
    fields = [(name, value, not is_indexed) for name, value in headers]
    return Blocks(encoder.encode(fields), encoder.encode(fields))


@lru_cache(maxsize=256)  # 30 us each otherwise; nearly all answers of a second have the same headers
def decode(block: bytes) -> Head:
    """Any block alone, as our table has no room; raises HPACKError."""
    decoder = Decoder(LARGEST_LIST)
    decoder.max_allowed_table_size = decoder.header_table_size = 0
    found = {bytes(name): bytes(value) for name, value in decoder.decode(block, raw=True)}
    status = found.get(b":status", b"0")
    if not (status.isdigit() and len(status) < 4):
        raise HPACKError("malformed status")
    return Head(int(status), found.get(b"retry-after", b"").decode("latin-1"))
