"""Requests and responses over wasi:http, and sessions of the session manager. This module exists
in a component only."""

import os
import random
import traceback
from typing import TYPE_CHECKING, Any

from componentize_py_types import Err, Ok
from wit_world.imports import manager
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    Method_Other,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Https,
)

from ._streams import read, write
from ._wit import to_error
from .errors import HTTPError
from .http import Request, Response

if TYPE_CHECKING:
    from .handler import Application

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
    body = incoming.consume()
    try:
        content = read(body, limit)
    except Err:
        raise HTTPError(400, "The request is not complete.") from None
    if content is None:
        raise too_large
    return content


def _send(out: ResponseOutparam, response: Response) -> None:
    """Sends a response. Errors are ignored: after them, the client cannot be reached."""
    headers = [(name, value.encode("latin-1")) for name, value in response.headers]
    outgoing = OutgoingResponse(Fields.from_list(headers))
    outgoing.set_status_code(response.status)
    body = outgoing.body()
    ResponseOutparam.set(out, Ok(outgoing))
    try:
        write(body, response.body)
    except Err:
        with body:
            return
    OutgoingBody.finish(body, None)
