"""The demo application in Python."""

from html import escape
from pathlib import Path

from session3_guest import HTTPError, Response, handler, redirect

# These are read while the component is built: the running component has no file system.
LAYOUT = Path(__file__).with_name("layout.html").read_text()
SESSION = Path(__file__).with_name("session.html").read_text()


def html(status, title, body):
    return Response(LAYOUT.replace("{title}", title).replace("{body}", body), status)


def message(status, text):
    title = "Not found" if status == 404 else "That did not work"
    body = f'<h1>{title}</h1>\n<p>{escape(text)}</p>\n<p><a href="./">Back</a></p>'
    return html(status, title, body)


def allow_plain_http(config, request):
    """Without TLS, the cookie is not `Secure` and its name has no prefix, since not all browsers
    accept the default cookie then."""
    if not request.is_secure:
        config.cookie.name = "session3"
        config.cookie.secure = False


@handler(config=allow_plain_http, error_page=message)
def app(request, session):
    if request.method not in ("GET", "HEAD"):
        return Response("This page answers GET and HEAD.", 405, {"Allow": "GET, HEAD"})
    match request.path:
        case "/":
            return html(200, "Session3", page(session))
        case "/keep":
            session["keep"] = True
        case "/increment":
            # A new session is not stored just for the counter.
            if session.id is not None:
                session.add("counter")
        case "/incrementfail":
            session.add("counter")
            raise HTTPError(500, "This request changed the session and then failed.")
        case "/logout":
            session.expire()
        case "/logoutfail":
            session.expire()
            raise HTTPError(500, "This request changed the session and then failed.")
        case _:
            raise HTTPError(404, "There is no such page.")
    return redirect("/", 302)


def page(session):
    body = SESSION.replace("{id}", str(session.id)).replace("{more}", "")
    return body.replace("{counter}", str(session.get("counter", 0)))
