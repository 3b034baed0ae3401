"""HPACK for a client that sends the same headers with every request and reads two of those it receives.

The tables and the Huffman code are those of the `hpack` library. It is slow, so its results are cached.
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
    """The headers of an answer that are read. The status is 0 if there is none, as in trailers."""

    status: int
    retry_after: str


@lru_cache(maxsize=4)  # twenty connections begin, and change the token, with the same
def encode(headers: Headers, table_size: int, *, is_renewed: bool) -> Blocks:
    """Returns the blocks of the first request with these headers and of those after it, which is a few bytes.

    `is_renewed` says that the connection had other headers or another table size before.
    """
    encoder = Encoder()
    if is_renewed:
        # A size of 0 empties the peer's table, so that the indexes are the same for every connection.
        encoder.header_table_size = 0
    if table_size != encoder.header_table_size:
        encoder.header_table_size = table_size
    # Headers that do not fit into the table would evict each other, so none of them is entered.
    is_indexed = sum(table_entry_size(name, value) for name, value in headers) <= table_size
    fields = [(name, value, not is_indexed) for name, value in headers]
    return Blocks(encoder.encode(fields), encoder.encode(fields))


@lru_cache(maxsize=256)  # 30 us each otherwise; nearly all answers of a second have the same headers
def decode(block: bytes) -> Head:
    """Reads the headers of an answer. Raises HPACKError."""
    decoder = Decoder(LARGEST_LIST)
    # The settings that we send allow no table, so each block can be decoded without those before it.
    decoder.max_allowed_table_size = decoder.header_table_size = 0
    headers = {bytes(name): bytes(value) for name, value in decoder.decode(block, raw=True)}
    status = headers.get(b":status", b"0")
    if not (status.isdigit() and len(status) < 4):
        raise HPACKError("malformed status")
    return Head(int(status), headers.get(b"retry-after", b"").decode("latin-1"))
