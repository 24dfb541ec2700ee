"""The session of a request."""

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum, auto
from typing import Any

from . import values
from ._wit import Err, from_value, to_error, to_value
from .errors import Ended, Invalid

EPOCH = datetime.fromtimestamp(0, timezone.utc)


class Mode(Enum):
    """How a request uses its session. `MERGE` suits nearly all requests. A request that
    reads an attribute and sets it to a value that depends on it uses `Session.add`, `STRICT`
    or `EXCLUSIVE`, because otherwise it could lose a change of another request."""

    MERGE = auto()
    """Changes of other requests stay. If two change the same attribute, the last commit
    counts."""
    STRICT = auto()
    """The commit raises `Conflict` if another request has saved the session meanwhile."""
    EXCLUSIVE = auto()
    """Other exclusive requests for the session wait until this one has committed."""
    READ_ONLY = auto()
    """Changes raise `ReadOnly`."""
    DRY_RUN = auto()
    """The commit saves nothing. Requests with the method HEAD always have this mode."""


@dataclass(frozen=True)
class SessionSummary:
    """One of the sessions of the user who is logged in: see `Session.own_sessions`."""

    id: str
    """The ID, which `Session.expire_own` takes."""
    is_current: bool
    """Whether this is the session of the request."""
    created: datetime
    """When the session began."""
    accessed: datetime
    """When the session was last used."""
    expires: datetime
    """When the session ends if it is not used again."""
    is_remembered: bool
    """Whether the session is remembered beyond the end of the browser."""
    remote_address: str | None
    """The address of the request that began the session."""
    user_agent: str | None
    """The User-Agent of the request that began the session."""


class Session(MutableMapping[str, Any]):
    """The session of a request: a dict of attributes, and what else a session has.

    It holds the state of the store when the request came, with the changes of this request.
    They are saved when the handler returns a response, and dropped if the handler raises an
    exception or its response has a status of 500 or more. The session is opened when it is
    first used, so a page without a session costs nothing.

        session["cart"] = ["apple"]
        session["cart"].append("pear")      # saved, too
        session.visits = 1                  # the same as session["visits"] = 1
        session.add("visits", 1)            # counts all additions of parallel requests
        session.user = "ann"                # logs in, with a new cookie
        session.user = None                 # logs out
        session.expire()                    # ends the session

    Every function may raise a `SessionError`, which answers the request with its status if
    the handler does not catch it.
    """

    def __init__(self, open_view: Callable[[], Any]) -> None:
        """`open_view` opens the view of the session manager, when it is first needed."""
        self._open_view = open_view
        self._opened: Any = None
        self._kept: dict[str, tuple[Any, Any]] = {}
        """The values that can change in place, each with its encoding when it was read."""
        self._headers: list[tuple[str, str]] = []

    # What the session is

    @property
    def id(self) -> str | None:
        """The ID, which names the session and gives no access to it; None before the first
        commit that stores the session."""
        return self._view.id()

    @property
    def is_new(self) -> bool:
        """Whether no cookie of the request opened a session."""
        return self._view.is_new()

    @property
    def created(self) -> datetime:
        """When the session began."""
        return _time(self._view.created())

    @property
    def accessed(self) -> datetime:
        """When the session was used before this request, with the accuracy of the
        configuration's `touch_after`."""
        return _time(self._view.accessed())

    @property
    def authenticated(self) -> datetime | None:
        """When the user was last set; None without a user."""
        time = self._view.authenticated()
        return None if time is None else _time(time)

    @property
    def remote_address(self) -> str | None:
        """The address of the request that began the session."""
        return self._view.remote_address()

    def has_info(self) -> bool:
        """Returns whether the session has anything to store: a user, an attribute, a token or
        a message."""
        return self._view.has_info()

    # The user

    @property
    def user(self) -> str | None:
        """The user who is logged in, or None. Setting it logs a user in, or out with None.

        A log-in replaces the cookie and keeps the attributes. If the user changes or logs
        out, attributes, form tokens and messages are removed. Setting the same user again
        counts as a new authentication.
        """
        return self._view.user()

    @user.setter
    def user(self, user: str | None) -> None:
        before = self._view.user()
        self._call("set_user", None if user is None else values.text("the user", user))
        if before is not None and before != user:
            self._kept.clear()

    def set_user(self, user: str | None) -> None:
        """Sets `user`, as the session of Quixote does."""
        self.user = user

    def remember(self, remember: bool = True) -> None:
        """Sets whether the session is remembered beyond the end of the browser."""
        self._call("remember", bool(remember))

    @property
    def is_remembered(self) -> bool:
        """Whether the session is remembered."""
        return self._view.is_remembered()

    # The attributes

    def __getitem__(self, name: str) -> Any:
        if name in self._kept:
            return self._kept[name][0]
        found = self._view.get(name) if values.is_text(name) else None
        if found is None:
            raise KeyError(name)
        case, content = from_value(found)
        value = self._decode(name, case, content)
        if case == "json":
            self._kept[name] = value, self._encode(name, value)
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        encoded = self._encode(name, value)
        self._call("set", values.text("the name of an attribute", name), to_value(*encoded))
        self._kept.pop(name, None)
        if encoded[0] == "json":
            self._kept[name] = value, encoded

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._call("remove", name)
        self._kept.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._view.names())

    def __len__(self) -> int:
        return len(self._view.names())

    def __contains__(self, name: object) -> bool:
        return values.is_text(name) and self._view.get(name) is not None

    def add(self, name: str, delta: int = 1) -> int:
        """Adds to an integer attribute, which starts at 0, and returns the sum. Unlike
        `session[name] += delta`, it counts the additions of parallel requests, too."""
        if type(delta) is not int:
            raise TypeError(f"delta must be an int, not {type(delta).__name__}")
        if delta not in values.INTEGERS:
            raise Invalid(f"{delta} is no integer of 64 bits")
        return self._call("add", values.text("the name of an attribute", name), delta)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the session has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        elif not hasattr(type(self), name):
            self[name] = value
        elif callable(getattr(type(self), name)):
            raise AttributeError(f"{name!r} is a method of the session: use session[{name!r}]")
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if name.startswith("_") or hasattr(type(self), name):
            object.__delattr__(self, name)
        elif name not in self:
            raise AttributeError(f"the session has no attribute {name!r}")
        else:
            del self[name]

    # Forms and messages

    def csrf_token(self) -> str:
        """Returns the token against cross-site request forgery, for a hidden field of any
        number of forms."""
        return self._call("csrf_token")

    def is_csrf_token(self, token: str | None) -> bool:
        """Returns whether a token, as a form has sent it, is from `csrf_token`."""
        return values.is_text(token) and self._view.is_csrf_token(token)

    def create_form_token(self) -> str:
        """Creates a token for a single submission of a form."""
        return self._call("create_form_token")

    def has_form_token(self, token: str | None) -> bool:
        """Returns whether a form token is valid, without using it up."""
        return values.is_text(token) and self._view.has_form_token(token)

    def remove_form_token(self, token: str | None) -> bool:
        """Uses up a form token at once, and returns whether it was valid. Of several requests
        with the same token, at most one gets True."""
        return values.is_text(token) and self._call("remove_form_token", token)

    def flash(self, message: str) -> None:
        """Adds a message for the next page."""
        self._call("flash", values.text("the message", message))

    def take_flashes(self) -> list[str]:
        """Returns the messages, oldest first. The commit removes them."""
        return self._call("take_flashes")

    # The end, and other sessions of the user

    def renew(self) -> None:
        """Replaces the cookie at the commit, as happens regularly without this."""
        self._call("renew")

    def expire(self) -> None:
        """Ends the session and deletes its cookie. It is empty from now on."""
        self._call("expire")
        self._kept.clear()

    def own_sessions(self) -> list[SessionSummary]:
        """Returns the sessions of the user who is logged in, with this one."""
        return [
            SessionSummary(
                id=summary.id,
                is_current=summary.is_current,
                created=_time(summary.created),
                accessed=_time(summary.accessed),
                expires=_time(summary.expires),
                is_remembered=summary.is_remembered,
                remote_address=summary.remote_address,
                user_agent=summary.user_agent,
            )
            for summary in self._call("own_sessions")
        ]

    def expire_own(self, id: str) -> bool:
        """Ends one session of the user at once, and returns whether the user had it."""
        return values.is_text(id) and self._call("expire_own", id)

    def expire_others(self) -> int:
        """Ends all other sessions of the user at once, as after a change of password, and
        returns their number."""
        return self._call("expire_others")

    # Saving

    def commit(self) -> list[tuple[str, str]]:
        """Saves the changes, and returns the headers to add to the response.

        This happens by itself when a handler returns a response. A handler that has to know
        whether the changes are saved calls it; its headers are added to the response, too.
        """
        self._save_changes_in_place()
        headers = [(header.name, header.value) for header in self._call("commit")]
        self._headers += headers
        return headers

    def forget_changes(self) -> None:
        """Drops the changes that were not committed."""
        self._view.forget_changes()
        self._kept.clear()

    def _save_changes_in_place(self) -> None:
        for name, (value, before) in list(self._kept.items()):
            if self._encode(name, value) != before:
                self[name] = value

    # Between the session and the session manager

    @property
    def _view(self) -> Any:
        if self._opened is None:
            self._opened = self._open_view()
        return self._opened

    def _call(self, function: str, *arguments: Any) -> Any:
        try:
            return getattr(self._view, function)(*arguments)
        except Err as error:
            raise to_error(error.value) from None

    def _encode(self, name: str, value: Any) -> tuple[str, Any]:
        return values.encode(name, value)

    def _decode(self, name: str, case: str, content: Any) -> Any:
        return values.decode(name, case, content)

    def _close(self) -> None:
        """Ends the request. An application that has kept the session cannot use it any more."""
        view, self._opened, self._open_view = self._opened, None, _refuse
        self._kept.clear()
        if view is not None:
            view.__exit__(None, None, None)

    def __repr__(self) -> str:
        return f"<Session {self._opened.id()}>" if self._opened else "<Session, not opened>"


def _time(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


def _refuse() -> Any:
    raise Ended("the request of this session is over")
