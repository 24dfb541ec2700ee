"""Requests and responses over wasi:http, and sessions of the session manager. This module exists
in a component only."""

import os
import random
import re
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from componentize_py_types import Err, Ok
from wit_world.imports import manager, outgoing_handler, types
from wit_world.imports.types import (
    Fields,
    IncomingBody,
    IncomingRequest,
    IncomingResponse,
    Method_Other,
    OutgoingBody,
    OutgoingRequest,
    OutgoingResponse,
    RequestOptions,
    ResponseOutparam,
    Scheme_Http,
    Scheme_Https,
)
from wit_world.imports.streams import StreamError_Closed

from ._wit import to_error
from .errors import HTTPError
from .http import Request, Response
from .outbound import FetchError, FetchRequest, FetchResponse

if TYPE_CHECKING:
    from .handler import Application

CHUNK = 4096
"""The largest number of bytes that one call of blocking_write_and_flush may write."""

_is_first_request = True

# Imports what a traceback needs, since a running component can import nothing more.
try:
    raise HTTPError(500, "")
except HTTPError:
    traceback.format_exc()


def serve(application: "Application", incoming: IncomingRequest, out: ResponseOutparam) -> None:
    """Answers a request."""
    _begin()
    with incoming:
        request = _read(incoming, application.max_body)
        response = application.respond(request, lambda: _open(application, request))
        _send(out, response)


def _begin() -> None:
    """Prepares a new instance for its first request."""
    global _is_first_request
    if not _is_first_request:
        return
    _is_first_request = False
    # It was seeded while the component was built, so it would return the same numbers in every
    # instance.
    random.seed()
    # Opens the standard streams. An instance that opened one in a later request would have kept
    # something of that request for the server, and would serve no further one.
    for descriptor in (1, 2):
        os.write(descriptor, b"")


def _open(application: "Application", request: Request) -> Any:
    """Opens the session of a request."""
    config = manager.default_config()
    if application.config is not None:
        application.config(config, request)
    client = manager.Request(
        cookies=[cookie.encode("latin-1") for cookie in request.headers.getlist("cookie")],
        remote_address=request.remote_address,
        user_agent=request.user_agent,
    )
    mode = manager.Mode[application.mode_of(request).name]
    try:
        with manager.SessionManager.open(config) as sessions:
            return sessions.get_session(client, mode)
    except Err as error:
        raise to_error(error.value) from None


def _read(incoming: IncomingRequest, limit: int) -> Request:
    """Reads a request, and its body once it is needed."""
    with incoming.headers() as headers:
        pairs = [(name, value.decode("latin-1")) for name, value in headers.entries()]
    method = incoming.method()
    request = Request(
        method=method.value
        if isinstance(method, Method_Other)
        else type(method).__name__.removeprefix("Method_").upper(),
        target=incoming.path_with_query() or "/",
        header_list=pairs,
        is_secure=isinstance(incoming.scheme(), Scheme_Https),
        host=incoming.authority() or "localhost",
    )
    request.read = lambda: _body(incoming, request, limit)
    return request


def _body(incoming: IncomingRequest, request: Request, limit: int) -> bytes:
    too_large = HTTPError(413, f"The request is too large: it may have {limit} bytes.")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise too_large
    incomplete = HTTPError(400, "The request is not complete.")
    return _read_all(incoming.consume(), limit, too_large, lambda _: incomplete)


def _read_all(
    incoming: IncomingBody,
    limit: int,
    too_large: HTTPError,
    incomplete: Callable[[Any], HTTPError],
) -> bytes:
    """Reads a body to its end. `incomplete` makes the exception for an error of the stream."""
    content = bytearray()
    with incoming as body, body.stream() as stream:
        while True:
            try:
                content += stream.blocking_read(65536)
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    return bytes(content)
                raise incomplete(error.value) from None
            if len(content) > limit:
                raise too_large


def _send(out: ResponseOutparam, response: Response) -> None:
    """Sends a response. Errors are ignored: after them, the client cannot be reached."""
    headers = [(name, value.encode("latin-1")) for name, value in response.headers]
    outgoing = OutgoingResponse(Fields.from_list(headers))
    outgoing.set_status_code(response.status)
    body = outgoing.body()
    ResponseOutparam.set(out, Ok(outgoing))
    _write(body, response.body)


def _write(body: OutgoingBody, content: bytes) -> None:
    """Writes a body as far as the other side takes it."""
    try:
        with body.write() as stream:
            for start in range(0, len(content), CHUNK):
                stream.blocking_write_and_flush(content[start : start + CHUNK])
    except Err:
        with body:
            return
    OutgoingBody.finish(body, None)


def call(request: FetchRequest) -> FetchResponse:
    """Calls another server. See `outbound.fetch`."""
    try:
        response = _exchange(request)
    except Err as error:
        raise FetchError(request.host, _reason(error.value)) from None
    with response:
        with response.headers() as fields:
            headers = [(name, value.decode("latin-1")) for name, value in fields.entries()]
        content = _read_all(
            response.consume(),
            request.max_body,
            FetchError(request.host, "http-response-body-size"),
            lambda _: FetchError(request.host, "http-response-incomplete"),
        )
        return FetchResponse(response.status(), headers, content)


def _exchange(request: FetchRequest) -> IncomingResponse:
    """Sends a request, and waits for the head of its response."""
    outgoing = _outgoing(request)
    body = outgoing.body() if request.body else None
    with outgoing_handler.handle(outgoing, _options(request.timeout)) as future:
        if body is not None:
            _write(body, request.body)
        with future.subscribe() as ready:
            ready.block()
        answer = future.get().value
    if isinstance(answer, Err):
        raise answer
    return answer.value


def _outgoing(request: FetchRequest) -> OutgoingRequest:
    headers = [(name, value.encode("latin-1")) for name, value in request.headers]
    outgoing = OutgoingRequest(Fields.from_list(headers))
    standard = getattr(types, f"Method_{request.method.title()}", None)
    try:
        outgoing.set_method(standard() if standard else Method_Other(request.method))
        outgoing.set_scheme(Scheme_Https() if request.is_secure else Scheme_Http())
        outgoing.set_authority(request.host)
        outgoing.set_path_with_query(request.target)
    except Err:
        raise ValueError(f"{request.method} {request.host}{request.target} is no request") from None
    return outgoing


def _options(timeout: float | None) -> RequestOptions | None:
    if timeout is None:
        return None
    options = RequestOptions()
    nanoseconds = round(timeout * 1e9)
    options.set_connect_timeout(nanoseconds)
    options.set_first_byte_timeout(nanoseconds)
    options.set_between_bytes_timeout(nanoseconds)
    return options


def _reason(code: Any) -> str:
    """Returns the name of an error code, such as `dns-error`."""
    name = type(code).__name__.removeprefix("ErrorCode_")
    return re.sub("(?<!^)(?=[A-Z])", "-", name).lower()
