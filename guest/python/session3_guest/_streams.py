"""Bodies over wasi:http, of requests and of responses. This module exists in a component only."""

import math

from componentize_py_types import Err
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.types import IncomingBody, OutgoingBody

CHUNK = 4096
"""The largest number of bytes that one call of blocking_write_and_flush may write."""


def read(body: IncomingBody, limit: float = math.inf) -> bytes | None:
    """Reads a body until its end, and returns None if it has more than `limit` bytes. Raises
    `Err` if the connection ends before the body."""
    content = bytearray()
    with body, body.stream() as stream:
        while len(content) <= limit:
            try:
                content += stream.blocking_read(65536)
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    return bytes(content)
                raise
    return None


def write(body: OutgoingBody, content: bytes) -> None:
    """Writes the content of a body. Raises `Err` if the connection has ended."""
    with body.write() as stream:
        for start in range(0, len(content), CHUNK):
            stream.blocking_write_and_flush(content[start : start + CHUNK])
