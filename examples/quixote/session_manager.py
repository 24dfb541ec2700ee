"""A session manager for Quixote that keeps its sessions with the component.

Each attribute of a Quixote session becomes an attribute in the component. Therefore
concurrent requests do not overwrite the changes of each other to different attributes,
applications in other languages can read the attributes, and no pickle is ever loaded.
Numbers, strings, `bytes` and `bool` are stored in the type of the component, other values
as JSON. None, empty lists and empty dictionaries are not stored."""

import json

from quixote import get_request, get_response, get_session
from quixote.session import Session, SessionManager as QuixoteSessionManager
from wasmtime.component import Variant

from component import Manager

# The fields of a Quixote session that are no attributes: the component has them already.
NOT_KEPT = {"id", "_remote_address", "_creation_time", "_access_time"}

# The names of the cookie, with TLS and without.
COOKIES = ["__Host-session", "session3"]


class SessionManager(QuixoteSessionManager):
    """The session manager to pass to `Publisher(..., session_manager=...)`."""

    def __init__(self, component, store, session_class=Session):
        super().__init__(session_class=session_class)
        self.manager = Manager(component, store)

    def start_request(self):
        request = get_request()
        kept = self.manager.open(
            # The response to HEAD is that of GET, and nothing else happens.
            "dry-run" if request.get_method() == "HEAD" else "merge",
            request.get_scheme() == "https",
            # Quixote's servers join several Cookie headers with ", ".
            cookies=[c.encode("latin-1") for c in request.get_header("Cookie", "").split(", ")],
            remote_address=request.get_environ("REMOTE_ADDR"),
            user_agent=None,
        )
        hide_tokens(request)
        session = self.session_class(kept.id())
        session._creation_time = kept.created() / 1000
        session._access_time = kept.accessed() / 1000
        self.before = {name: kept.get(name) for name in kept.names()}
        for name, value in self.before.items():
            setattr(session, name, from_value(value))
        self.kept, request.session = kept, session
        session.user = self.user = kept.user()
        session.start_request()

    def finish_successful_request(self):
        session = get_session()
        if session is None:
            self.kept.expire()
        elif session.has_info():
            self.save(session)
        elif self.kept.id() is not None:
            self.kept.expire()
        for header in self.kept.commit():
            add_header(get_response(), header)
        if session is not None:
            session.id = self.kept.id()

    def finish_failed_request(self):
        """Does nothing: without a commit, the changes of the request are dropped."""

    def save(self, session):
        if session.user != self.user:
            self.kept.set_user(session.user)
        after = {
            name: to_value(value)
            for name, value in vars(session).items()
            if name not in NOT_KEPT and name != "user" and value not in (None, [], {})
        }
        for name, value in after.items():
            if value != self.before.get(name):
                self.kept.set(name, value)
        for name in self.before.keys() - after.keys():
            self.kept.remove(name)

    def expire_session(self):
        get_request().session = None


def add_header(response, header):
    """Adds a header of the session to those of the application."""
    value, own = header.value, response.get_header(header.name)
    if own and header.name == "Vary":
        value = f"{own}, {value}"
    response.set_header(header.name, value)


def hide_tokens(request):
    """Removes the token from the request, since Quixote writes failed requests to its log."""
    request.environ.pop("HTTP_COOKIE", None)
    for name in COOKIES:
        request.cookies.pop(name, None)


def to_value(value):
    for kind, tag in KINDS:
        if isinstance(value, kind):
            return Variant(tag, value)
    return Variant("json", json.dumps(value))


def from_value(value):
    return json.loads(value.payload) if value.tag == "json" else value.payload


# bool comes before int, because it is a subclass of int.
KINDS = [(bool, "boolean"), (int, "integer"), (float, "number"), (str, "text"), (bytes, "bytes")]
