"""Requests and responses as the pages want them, over wasi:http."""

from dataclasses import dataclass, field

from componentize_py_types import Err, Ok
from wit_world.imports.wasi_http_types import (
    Fields,
    Method_Get,
    Method_Head,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Https,
)

# What one blocking_write_and_flush takes at most, by its contract.
CHUNK = 4096

METHODS = {Method_Get: "GET", Method_Head: "HEAD"}


@dataclass
class Request:
    """A request, without its body."""

    method: str | None
    """GET or HEAD; None for any other."""
    path: str
    """Without the query."""
    is_secure: bool
    """Whether the browser came over TLS."""
    cookies: list[bytes]
    """The values of its Cookie headers."""
    user_agent: str | None
    """Who the browser says it is."""


@dataclass
class Response:
    """A response, whole."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""


def read(request):
    """What the pages want to know of a request."""
    with request.headers() as headers:
        cookies = headers.get("cookie")
        user_agents = headers.get("user-agent")
    return Request(
        method=METHODS.get(type(request.method())),
        path=(request.path_with_query() or "").partition("?")[0],
        is_secure=isinstance(request.scheme(), Scheme_Https),
        cookies=cookies,
        user_agent=user_agents[0].decode(errors="replace") if user_agents else None,
    )


def send(out, response):
    """Sends a response. When the client is gone, there is nobody to tell."""
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
