"""Sessions for Flask: `flask.session` is a session of session3.

    from flask import Flask, session
    from session3_guest.flask import flask_handler

    app = Flask(__name__)
    ...
    IncomingHandler = flask_handler(app)
"""

from typing import Any

from flask import Flask, request
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionInterface, SessionMixin
from flask.wrappers import Request, Response

from . import values
from .errors import HTTPError
from .handler import error_page, log
from .session import Session
from .wsgi import SESSION, wsgi_handler

_SERIALIZER = TaggedJSONSerializer()


class FlaskSession(Session, SessionMixin):
    """The session of a request: what `flask.session` is, and all that `Session` has.

    It holds what Flask's own session holds, such as tuples and `datetime`. `permanent` means
    that the session is remembered beyond the end of the browser. Changes within lists and
    dicts are saved, with `modified` or without. `accessed` is Flask's flag, not a time.
    """

    accessed = False  # type: ignore[assignment]

    @property
    def permanent(self) -> bool:
        """Whether the session is remembered: see `Session.remember`."""
        return self.is_remembered

    @permanent.setter
    def permanent(self, value: bool) -> None:
        if value != self.is_remembered:
            self.remember(value)

    @property
    def new(self) -> bool:  # type: ignore[override]
        """Whether no cookie of the request opened a session."""
        return self.is_new

    def _encode(self, name: str, value: Any) -> tuple[str, Any]:
        if type(value) in (bool, int, float, str, bytes):
            return values.encode(name, value)
        return values.encode(name, _SERIALIZER.tag(value))

    def _decode(self, name: str, case: str, content: Any) -> Any:
        value = values.decode(name, case, content)
        return _SERIALIZER.loads(content) if case == "json" else value


class Session3Interface(SessionInterface):
    """Gives Flask the session of the request. Without a component, as in tests, the interface
    that the application had before does that."""

    def __init__(self, otherwise: SessionInterface) -> None:
        self._otherwise = otherwise

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:
        if SESSION in request.environ:
            return request.environ[SESSION]
        return self._otherwise.open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        # The handler commits the session of a component, after the whole response is made.
        if not isinstance(session, FlaskSession):
            self._otherwise.save_session(app, session, response)


def flask_handler(app: Flask, **options: Any) -> type:
    """Returns the class `IncomingHandler` that serves a Flask application, whose session is a
    session of session3. Call it at the end of the module, after the routes. `options` are those
    of `handler`.

    Templates are loaded now, since a running component has no files. A `SessionError` is
    answered with its status, unless the application has an error handler for `HTTPError` of
    this package.
    """
    app.session_interface = Session3Interface(app.session_interface)
    if HTTPError not in app.error_handler_spec[None][None]:
        app.register_error_handler(HTTPError, _failed)
    for name in app.jinja_env.list_templates():
        app.jinja_env.get_template(name)
    return wsgi_handler(app, session_class=FlaskSession, **options)


def _failed(error: HTTPError) -> tuple[str, int, dict[str, str]]:
    """Answers a request that failed with a status of its own, and saves nothing."""
    log(error)
    session = request.environ.get(SESSION)
    if session is not None and session._opened is not None:
        session.forget_changes()
    page = error_page(error.status, error.page)
    return page.body.decode(), page.status, {**dict(page.headers), "Cache-Control": "no-store"}
