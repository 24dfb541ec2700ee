"""Requests to other servers over wasi:http. This module exists in a component only."""

from typing import Any
from urllib.parse import SplitResult

from componentize_py_types import Err
from wit_world.imports import outgoing_handler
from wit_world.imports.types import (
    Fields,
    IncomingResponse,
    Method_Other,
    OutgoingBody,
    OutgoingRequest,
    Scheme_Http,
    Scheme_Https,
)

from ._streams import read, write


class Failed(Exception):
    """There is no response, for the reason that the message names."""


def send(
    url: SplitResult, method: str, headers: list[tuple[str, str]], body: bytes, max_body: int
) -> tuple[int, list[tuple[str, str]], bytes | None]:
    """Sends a request, and returns the status, the headers and the body of the response. The body
    is None if it has more than `max_body` bytes."""
    try:
        with _respond(_request(url, method, headers), body) as response:
            with response.headers() as fields:
                pairs = [(name, value.decode("latin-1")) for name, value in fields.entries()]
            return response.status(), pairs, read(response.consume(), max_body)
    except Err as error:
        raise Failed(_name(error.value)) from None


def _request(url: SplitResult, method: str, headers: list[tuple[str, str]]) -> OutgoingRequest:
    fields = [(name, value.encode("latin-1")) for name, value in headers]
    request = OutgoingRequest(Fields.from_list(fields))
    # The host knows the usual methods by their names, too.
    request.set_method(Method_Other(method))
    request.set_scheme(Scheme_Https() if url.scheme == "https" else Scheme_Http())
    request.set_authority(url.netloc)
    query = f"?{url.query}" if url.query else ""
    request.set_path_with_query((url.path or "/") + query)
    return request


def _respond(request: OutgoingRequest, body: bytes) -> IncomingResponse:
    """Sends a request, and waits for the response."""
    outgoing = request.body() if body else None
    with outgoing_handler.handle(request, None) as future:
        if outgoing is not None:
            write(outgoing, body)
            OutgoingBody.finish(outgoing, None)
        with future.subscribe() as ready:
            ready.block()
        answer = future.get().value
    if isinstance(answer, Err):
        raise answer
    return answer.value


def _name(error: Any) -> str:
    """Returns the name of an error in WASI."""
    return type(error).__name__.removeprefix("ErrorCode_")
