"""Tests of an application without a component: a browser and a store in memory.

    import app
    from session3_guest.testing import Client

    client = Client(app.IncomingHandler)
    assert client.post("/login", {"user": "ann"}).status == 303
    assert "Hello ann" in client.get("/").text

The store forgets its sessions with the client, and has no timeouts, no renewals and no parallel
requests. Only `session3 serve` has those.
"""

import secrets
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from ._wit import Err, manager, session_types
from .http import Request, Response
from .session import Mode

COOKIE = "session3"
TIME = 1_700_000_000_000
"""The time of all sessions, in milliseconds."""


class Client:
    """A browser with one cookie, and the store of its application."""

    def __init__(self, incoming_handler: type) -> None:
        """`incoming_handler` is the class `IncomingHandler` of the application's module."""
        self.application = incoming_handler.application  # type: ignore[attr-defined]
        self.sessions: dict[str, State] = {}
        """The stored sessions by their IDs."""
        self.cookie: str | None = None
        """The ID of the session that the browser has."""

    def get(self, target: str, headers: Mapping[str, str] = {}) -> "Page":
        """Gets a page. Redirects are not followed."""
        return self.send("GET", target, headers=headers)

    def post(
        self, target: str, form: Mapping[str, str] = {}, headers: Mapping[str, str] = {}
    ) -> "Page":
        """Submits a form."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send("POST", target, urlencode(form).encode(), {**kind, **headers})

    def send(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] = {}
    ) -> "Page":
        """Sends a request."""
        request = Request(method, target, list(headers.items()), read=lambda: body)
        mode = self.application.mode_of(request)
        response = self.application.respond(request, lambda: View(self, mode))
        return Page(response)


class Page:
    """A response to a test."""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.body

    @property
    def text(self) -> str:
        """The body as a text."""
        return self.body.decode()

    @property
    def location(self) -> str | None:
        """Where a redirect leads."""
        return dict(self.headers).get("Location")


@dataclass
class State:
    """What a session holds."""

    user: str | None = None
    is_remembered: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)
    csrf_token: str | None = None
    form_tokens: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


class View:
    """A session as the session manager's interface has it, for the requests of a `Client`."""

    def __init__(self, client: Client, mode: Mode) -> None:
        self._client = client
        self._mode = mode
        self._id = client.cookie if client.cookie in client.sessions else None
        self._is_new = self._id is None
        self._ends = False
        self.forget_changes()

    def forget_changes(self) -> None:
        stored = self._client.sessions.get(self._id or "")
        self._state = deepcopy(stored) if stored else State()
        self._ends = False

    def commit(self) -> list[Any]:
        header = manager.Header
        headers = [header("Vary", "Cookie")]
        if self._state.user is not None:
            headers.append(header("Cache-Control", "no-store"))
        if self._mode in (Mode.READ_ONLY, Mode.DRY_RUN):
            return headers
        if self._id is not None and self._id not in self._client.sessions:
            raise _error("Ended")
        if self._ends:
            if self._id is None:
                return headers
            del self._client.sessions[self._id]
            self._id = self._client.cookie = None
            return [*headers, header("Set-Cookie", f"{COOKIE}=; Max-Age=0")]
        if self._id is None and not self.has_info():
            return headers
        is_first = self._id is None
        self._id = self._id or secrets.token_hex(16)
        self._client.cookie = self._id
        self._client.sessions[self._id] = deepcopy(self._state)
        return [*headers, header("Set-Cookie", f"{COOKIE}={self._id}")] if is_first else headers

    def __exit__(self, *_: object) -> None:
        pass

    def id(self) -> str | None:
        return self._id

    def is_new(self) -> bool:
        return self._is_new

    def created(self) -> int:
        return TIME

    accessed = created

    def authenticated(self) -> int | None:
        return None if self._state.user is None else TIME

    def remote_address(self) -> str | None:
        return None

    def has_info(self) -> bool:
        state = self._state
        contents = (state.attributes, state.csrf_token, state.form_tokens, state.messages)
        return state.user is not None or any(contents)

    def user(self) -> str | None:
        return self._state.user

    def set_user(self, user: str | None) -> None:
        self._change()
        if user is not None and not 1 <= len(user.encode()) <= 1024:
            raise _invalid("the name of a user has 1 to 1024 bytes")
        if self._state.user not in (None, user):
            self._state = State()
        self._state.user = user
        self._state.csrf_token = None

    def remember(self, remember: bool) -> None:
        self._change()
        self._state.is_remembered = remember

    def is_remembered(self) -> bool:
        return self._state.is_remembered

    def names(self) -> list[str]:
        return sorted(self._state.attributes, key=str.encode)

    def get(self, name: str) -> Any:
        return self._state.attributes.get(name)

    def set(self, name: str, value: Any) -> None:
        self._change()
        if not 1 <= len(name.encode()) <= 256:
            raise _invalid("the name of an attribute has 1 to 256 bytes")
        self._state.attributes[name] = value

    def remove(self, name: str) -> Any:
        self._change()
        return self._state.attributes.pop(name, None)

    def add(self, name: str, delta: int) -> int:
        integer = session_types.Value_Integer
        before = self._state.attributes.get(name, integer(0))
        if not isinstance(before, integer):
            raise _invalid(f"the attribute {name} is no integer")
        self.set(name, integer(before.value + delta))
        return before.value + delta

    def csrf_token(self) -> str:
        if self._state.csrf_token is None:
            self._change()
            self._state.csrf_token = secrets.token_urlsafe(32)
        return self._state.csrf_token

    def is_csrf_token(self, token: str) -> bool:
        return token == self._state.csrf_token

    def create_form_token(self) -> str:
        self._change()
        self._state.form_tokens.append(secrets.token_urlsafe(16))
        return self._state.form_tokens[-1]

    def has_form_token(self, token: str) -> bool:
        return token in self._state.form_tokens

    def remove_form_token(self, token: str) -> bool:
        self._at_once()
        if token not in self._state.form_tokens:
            return False
        for state in (self._state, self._client.sessions.get(self._id or "")):
            if state is not None and token in state.form_tokens:
                state.form_tokens.remove(token)
        return True

    def flash(self, message: str) -> None:
        self._change()
        self._state.messages.append(message)

    def take_flashes(self) -> list[str]:
        messages = self._state.messages
        if messages:
            self._change()
        self._state.messages = []
        return messages

    def renew(self) -> None:
        self._change()

    def expire(self) -> None:
        if not self._ends:
            self._change()
        self._state = State()
        self._ends = True

    def own_sessions(self) -> list[Any]:
        return [
            SimpleNamespace(
                id=id,
                is_current=id == self._id,
                created=TIME,
                accessed=TIME,
                expires=TIME,
                is_remembered=state.is_remembered,
                remote_address=None,
                user_agent=None,
            )
            for id, state in self._client.sessions.items()
            if state.user is not None and state.user == self._state.user
        ]

    def expire_own(self, id: str) -> bool:
        self._at_once()
        if id not in [summary.id for summary in self.own_sessions()]:
            return False
        if id == self._id:
            self.expire()
        else:
            del self._client.sessions[id]
        return True

    def expire_others(self) -> int:
        self._at_once()
        others = [own.id for own in self.own_sessions() if not own.is_current]
        for id in others:
            del self._client.sessions[id]
        return len(others)

    def _change(self) -> None:
        if self._mode is Mode.READ_ONLY:
            raise _error("ReadOnly")
        if self._ends:
            raise _error("Ended")

    def _at_once(self) -> None:
        self._change()
        if self._mode is Mode.DRY_RUN:
            raise _error("ReadOnly")


def _error(case: str, *message: str) -> Exception:
    return Err(getattr(manager, f"SessionError_{case}")(*message))


def _invalid(message: str) -> Exception:
    return _error("Invalid", message)
