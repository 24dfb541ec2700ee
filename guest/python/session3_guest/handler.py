"""Handlers of requests: functions that get a request and its session, and return a response."""

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from . import headers
from ._wit import IN_COMPONENT
from .errors import HTTPError, Invalid, ReadOnly, SessionError
from .http import Request, Response
from .session import Mode, Session

if IN_COMPONENT:
    # A running component can import nothing more.
    from . import _wasi

Answer = Callable[[Request, Any], "Response | str"]
F = TypeVar("F", bound=Answer)

MAX_BODY = 1024 * 1024
"""How many bytes the body of a request may have, if a handler says nothing else."""


def error_page(status: int, text: str) -> Response:
    """Returns the response to a request that failed: a plain text."""
    return Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")


@dataclass(frozen=True)
class Application:
    """A function that answers requests, and how it wants to have its sessions."""

    answer: Answer
    mode: Mode | Callable[[Request], Mode] = Mode.MERGE
    config: Callable[[Any, Request], None] | None = None
    max_body: int = MAX_BODY
    error_page: Callable[[int, str], Response] = error_page
    session_class: type[Session] = Session

    def mode_of(self, request: Request) -> Mode:
        """Returns the mode of a request's session."""
        if request.method == "HEAD":
            return Mode.DRY_RUN
        return self.mode if isinstance(self.mode, Mode) else self.mode(request)

    def respond(self, request: Request, open_view: Callable[[], Any]) -> Response:
        """Answers a request, with a session that `open_view` opens when it is first used.

        The session is committed if all goes well. Otherwise what was not committed is
        dropped.
        """
        session = self.session_class(open_view)
        try:
            response = self._respond(request, session)
            # A commit that the handler made itself may have sent a cookie.
            response.headers = headers.with_session(response.headers, session._headers)
        finally:
            session._close()
        if request.method == "HEAD" or response.status in (204, 304):
            response.body = b""
        return response

    def _respond(self, request: Request, session: Session) -> Response:
        try:
            response = _checked(self.answer(request, session))
            if response.status < 500 and session._opened is not None:
                session.commit()
            return response
        except HTTPError as error:
            log(error)
            return self._failed(error.status, error.page)
        except Exception as error:
            log(error)
            return self._failed(HTTPError.status, HTTPError.page)

    def _failed(self, status: int, text: str) -> Response:
        try:
            response = _checked(self.error_page(status, text))
        except Exception as error:
            log(error)
            response = error_page(status, text)
        # It may depend on the session, and has no Vary header that says so.
        response.headers = headers.with_session(response.headers, [("Cache-Control", "no-store")])
        return response


def incoming_handler(application: Application) -> type:
    """Returns the class `IncomingHandler` that a component has to export, for an application.
    `testing.Client` takes it, too."""

    class IncomingHandler:
        def handle(self, request: Any, response_out: Any) -> None:
            _wasi.serve(application, request, response_out)

    IncomingHandler.application = application  # type: ignore[attr-defined]
    return IncomingHandler


@overload
def handler(answer: F, /) -> F: ...
@overload
def handler(
    *,
    mode: Mode | Callable[[Request], Mode] = Mode.MERGE,
    config: Callable[[Any, Request], None] | None = None,
    max_body: int = MAX_BODY,
    error_page: Callable[[int, str], Response] = error_page,
) -> Callable[[F], F]: ...
def handler(answer: F | None = None, /, **options: Any) -> F | Callable[[F], F]:
    """Makes a function the handler of all requests. It gets the request and its session, and
    returns a `Response`, or the text of a page:

        @handler
        def app(request, session):
            return f"<p>This is visit {session.add('visits')}."

    The session is committed before the response is sent, if its status is less than 500.
    If the function raises an exception, nothing is saved. An `HTTPError`, and so every
    `SessionError`, is answered with its status, any other exception with 500.

    The decorator puts the class `IncomingHandler` into the module of the function, which is
    what a component exports. The function itself stays as it is. These options can be set, as
    in `@handler(max_body=10_000)`:

    - `mode`: the mode of the session, or a function that returns the mode for a request.
    - `config`: a function that changes the configuration for a request, for example
      `def config(config, request): config.idle_timeout = 3600`. The fields are those of the
      record `config` in `manager.wit`. The operator's policy may forbid values.
    - `max_body`: how many bytes the body of a request may have. The default is 1 MiB.
    - `error_page`: a function that returns the response for a status and a text.
    """

    def export(answer: F) -> F:
        module = answer.__globals__
        other = getattr(module.get("IncomingHandler"), "application", None)
        if other is not None and other.answer.__name__ != answer.__name__:
            raise TypeError(
                f"{answer.__name__} and {other.answer.__name__} are both a @handler: "
                "one function answers all requests of a component"
            )
        module["IncomingHandler"] = incoming_handler(Application(answer, **options))
        return answer

    return export if answer is None else export(answer)


def _checked(answer: Any) -> Response:
    """Returns the response that a handler has returned, which can be sent."""
    response = Response(answer) if isinstance(answer, str) else answer
    if not isinstance(response, Response):
        raise TypeError(
            f"a handler returned {type(answer).__name__}: it has to return a Response or a str"
        )
    if not 200 <= response.status <= 599:
        raise ValueError(f"{response.status} is no status of a response")
    response.headers = headers.checked(response.headers)
    return response


def log(error: Exception) -> None:
    """Writes an exception to the log of the server, unless it is one of the ordinary answers to
    a browser, such as 404, or one of the store, which the server logs itself."""
    if not isinstance(error, HTTPError):
        traceback.print_exception(error)
    elif isinstance(error, (Invalid, ReadOnly)) or (
        error.status >= 500 and not isinstance(error, SessionError)
    ):
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
