"""Reads requests and sends responses over wasi:http."""

from dataclasses import dataclass, field

from componentize_py_types import Err, Ok
from wit_world.imports.types import (
    Fields,
    Method_Get,
    Method_Head,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Https,
)

# The largest number of bytes that one call of blocking_write_and_flush may write.
CHUNK = 4096

METHODS = {Method_Get: "GET", Method_Head: "HEAD"}


@dataclass
class Request:
    """A request, without its body."""

    method: str | None
    """The HTTP method, GET or HEAD; None for any other."""
    path: str
    """The path, without the query."""
    is_secure: bool
    """Whether the browser uses TLS."""
    cookies: list[bytes]
    """The values of the Cookie headers."""
    remote_address: str | None
    """The client's address, from the X-Forwarded-For header that session3 serve sets."""
    user_agent: str | None
    """The User-Agent header."""


@dataclass
class Response:
    """A complete response."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""


def read(request):
    """Reads a request."""
    with request.headers() as headers:
        cookies = headers.get("cookie")
        remote_address = first(headers.get("x-forwarded-for"))
        user_agent = first(headers.get("user-agent"))
    return Request(
        method=METHODS.get(type(request.method())),
        path=(request.path_with_query() or "").partition("?")[0],
        is_secure=isinstance(request.scheme(), Scheme_Https),
        cookies=cookies,
        remote_address=remote_address,
        user_agent=user_agent,
    )


def first(values):
    """Returns the first value of a header as text, or None."""
    return values[0].decode(errors="replace") if values else None


def send(out, response):
    """Sends a response. Errors are ignored: after them, the client cannot be reached."""
    headers = [(name, value.encode()) for name, value in response.headers]
    outgoing = OutgoingResponse(Fields.from_list(headers))
    outgoing.set_status_code(response.status)
    body = outgoing.body()
    ResponseOutparam.set(out, Ok(outgoing))
    try:
        write(body, response.body.encode())
        OutgoingBody.finish(body, None)
    except Err:
        pass


def write(body, data):
    with body.write() as stream:
        for start in range(0, len(data), CHUNK):
            stream.blocking_write_and_flush(data[start : start + CHUNK])
