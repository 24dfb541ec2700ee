"""Sessions for web applications in Python that run as WebAssembly components.

    from session3_guest import handler

    @handler
    def app(request, session):
        return f"<p>This is visit {session.add('visits')}."

`componentize-py componentize app -o app.wasm` makes a component of it, and
`session3 serve app.wasm --store sessions` serves that.
"""

from .errors import (
    Busy,
    ClientChanged,
    Conflict,
    Ended,
    HTTPError,
    Invalid,
    ReadOnly,
    SessionError,
    StoreError,
)
from .handler import Application, handler, incoming_handler
from .http import File, MissingField, MultiDict, Request, Response, redirect
from .outbound import FetchError, FetchResponse, fetch
from .session import Mode, Session, SessionSummary

__version__ = "0.2.0"

__all__ = [
    "Application",
    "Busy",
    "ClientChanged",
    "Conflict",
    "Ended",
    "FetchError",
    "FetchResponse",
    "File",
    "HTTPError",
    "Invalid",
    "MissingField",
    "Mode",
    "MultiDict",
    "ReadOnly",
    "Request",
    "Response",
    "Session",
    "SessionError",
    "SessionSummary",
    "StoreError",
    "fetch",
    "handler",
    "incoming_handler",
    "redirect",
]
