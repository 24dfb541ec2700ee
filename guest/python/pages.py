"""The pages of the demo."""

from pathlib import Path

from componentize_py_types import Err
from web import Response
from wit_world.imports import manager
from wit_world.imports.manager import (
    Mode,
    SessionError_Busy,
    SessionError_ClientChanged,
    SessionError_Conflict,
    SessionError_Ended,
    SessionError_ReadOnly,
    SessionError_Store,
    SessionManager,
)
from wit_world.imports.session_types import Value_Boolean, Value_Integer

# These are read while the component is built: the running component has no file system.
LAYOUT = Path(__file__).with_name("layout.html").read_text()
SESSION = Path(__file__).with_name("session.html").read_text()

TOO_MANY = "There are too many requests for your session at once. Nothing was saved; try again."
FAILURES = {
    SessionError_Ended: (
        409,
        "Your session ended while this request was under way. Nothing was saved.",
    ),
    SessionError_Conflict: (
        409,
        "Another request changed your session at the same time. Nothing was saved; try again.",
    ),
    SessionError_ClientChanged: (
        403,
        "Your session began in another browser or network. Log in again.",
    ),
    SessionError_Busy: (503, TOO_MANY),
    SessionError_ReadOnly: (500, "This page may not change the session. Nothing was saved."),
    SessionError_Store: (503, "Your session is not available at the moment. Try again later."),
}
REFUSED = (400, "Your session does not accept this request. Nothing was saved.")


def answer(request):
    """Returns the response to a request."""
    if request.method is None:
        response = message(405, "Not allowed", "This page answers GET and HEAD.")
        response.headers.append(("Allow", "GET, HEAD"))
        return response
    response = page(request)
    if request.method == "HEAD":
        response.body = ""
    return response


def page(request):
    do = PAGES.get(request.path)
    if do is None:
        return message(404, "Not found", "There is no such page.")
    # The response to HEAD is that of GET, and nothing else happens.
    mode = Mode.DRY_RUN if request.method == "HEAD" else Mode.MERGE
    try:
        with (
            SessionManager.open(config(request.is_secure)) as sessions,
            sessions.get_session(what_counts(request), mode) as session,
        ):
            return do(session)
    except Err as error:
        return message(*reason(error.value))


def what_counts(request):
    return manager.Request(
        cookies=request.cookies,
        remote_address=request.remote_address,
        user_agent=request.user_agent,
    )


def config(is_secure):
    """Returns the default configuration. Without TLS, the cookie is not `Secure` and its name
    has no prefix, since browsers accept the default cookie only over TLS."""
    config = manager.default_config()
    if not is_secure:
        config.cookie.name = "session3"
        config.cookie.secure = False
    return config


def show(session):
    counter = session.get("counter")
    count = counter.value if isinstance(counter, Value_Integer) else 0
    body = SESSION.replace("{id}", session.id() or "None")
    body = body.replace("{counter}", str(count)).replace("{more}", "")
    return html(200, "Session3", body, session.commit())


def keep(session):
    session.set("keep", Value_Boolean(True))
    return to_start(session.commit())


def increment(session):
    """Adds 1 to the counter of a stored session. A new session is not stored just for the
    counter."""
    if session.id() is not None:
        session.add("counter", 1)
    return to_start(session.commit())


def increment_and_fail(session):
    session.add("counter", 1)
    return on_purpose()


def log_out(session):
    session.expire()
    return to_start(session.commit())


def log_out_and_fail(session):
    session.expire()
    return on_purpose()


PAGES = {
    "/": show,
    "/keep": keep,
    "/increment": increment,
    "/incrementfail": increment_and_fail,
    "/logout": log_out,
    "/logoutfail": log_out_and_fail,
}


def on_purpose():
    """Returns the response of a page that fails on purpose. The page does not commit, so the
    session stays as it was."""
    return message(
        500,
        "Failed on purpose",
        "This request changed the session and then failed, so nothing was saved.",
    )


def reason(error):
    status, text = FAILURES.get(type(error), REFUSED)
    return status, "That did not work", text


def to_start(headers):
    return Response(302, [*pairs(headers), ("Location", "/")])


def message(status, title, text):
    return html(
        status, title, f'<h1>{title}</h1>\n<p>{text}</p>\n<p><a href="./">Back</a></p>'
    )


def html(status, title, body, headers=()):
    return Response(
        status,
        [*pairs(headers), ("Content-Type", "text/html; charset=utf-8")],
        LAYOUT.replace("{title}", title).replace("{body}", body),
    )


def pairs(headers):
    return [(header.name, header.value) for header in headers]
