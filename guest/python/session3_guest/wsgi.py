"""Runs any WSGI application (PEP 3333) in a component."""

import encodings.idna  # noqa: F401  (web frameworks import it when they first need it)
import io
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

from .handler import Application, incoming_handler
from .http import Request, Response
from .session import Session

SESSION = "session3.session"
"""The key of the environ that has the `Session`."""

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def wsgi_handler(app: WSGIApp, **options: Any) -> type:
    """Returns the class `IncomingHandler` that serves a WSGI application:

        from session3_guest.wsgi import wsgi_handler
        IncomingHandler = wsgi_handler(app)

    The session of a request is `environ["session3.session"]`. It is committed before the
    response is sent, if its status is less than 500. `options` are those of `handler`.
    """
    def answer(request: Request, session: Session) -> Response:
        return _answer(app, request, session)

    return incoming_handler(Application(answer, **options))


def _answer(app: WSGIApp, request: Request, session: Session) -> Response:
    written: list[bytes] = []
    head: list[tuple[int, list[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if head and exc_info is None:
            raise RuntimeError("start_response was called twice")
        head[:] = [(int(status[:3]), headers)]
        return written.append

    chunks = app(environ(request, session), start_response)
    try:
        written.extend(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    if not head:
        raise RuntimeError("the application has not called start_response")
    [(status, headers)] = head
    return Response(b"".join(written), status, headers, content_type=None)


def environ(request: Request, session: Session) -> dict[str, Any]:
    """Returns the environ of a request, with its session."""
    name, _, port = request.host.rpartition(":") if request.host[-1:] != "]" else ("", "", "")
    scheme = "https" if request.is_secure else "http"
    return {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(request.target.partition("?")[0], "latin-1"),
        "QUERY_STRING": request.query_string,
        "SERVER_NAME": name or request.host,
        "SERVER_PORT": port if name else ("443" if request.is_secure else "80"),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": request.remote_address or "",
        **_header_fields(request, scheme),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BufferedReader(_Body(request)),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        SESSION: session,
    }


def _header_fields(request: Request, scheme: str) -> dict[str, str]:
    """Returns the headers as WSGI has them. A name with an underscore is left out, because it
    would be taken for the name with a hyphen; so is `Proxy`, which programs take for an
    environment variable."""
    fields = {"HTTP_HOST": request.host}
    for name in request.headers:
        if "_" in name or name == "proxy":
            continue
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        fields[key] = ("; " if name == "cookie" else ",").join(request.headers.getlist(name))
    return fields


class _Body(io.RawIOBase):
    """The body of a request, which is read when the application reads it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._request.body[self._position : self._position + len(buffer)]
        buffer[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)
