"""The errors of sessions and of requests, each with the status of its response."""


class HTTPError(Exception):
    """An error that answers the request with a status. A handler raises it instead of
    returning a response, and nothing of the session is saved:

    >>> raise HTTPError(403, "Only Ann may see this page.")
    Traceback (most recent call last):
    session3_guest.errors.HTTPError: Only Ann may see this page.
    """

    status: int = 500
    """The status of the response."""
    page: str = "This page failed. Nothing was saved."
    """The text of the response. It never says what only the operator should know."""

    def __init__(self, status: int, page: str) -> None:
        super().__init__(page)
        self.status = status
        self.page = page


class SessionError(HTTPError):
    """Why a function of the session failed: one of the classes below. The changes of the
    request were not saved, apart from those that take effect at once."""

    def __init__(self, message: str = "") -> None:
        Exception.__init__(self, message or self.page)


class Invalid(SessionError):
    """A name, a value, a sum or a configuration is not allowed, or a limit is exceeded. The
    message says why."""

    status = 400
    page = "Your session does not accept this request. Nothing was saved."


class ClientChanged(SessionError):
    """The remote address or the user agent is not that of the request that began the session,
    and the configuration says `on_client_change=Policy.FAIL`."""

    status = 403
    page = "Your session began in another browser or network. Log in again."


class Ended(SessionError):
    """The session was ended while this request was under way, or its user changed."""

    status = 409
    page = "Your session ended while this request was under way. Nothing was saved."


class Conflict(SessionError):
    """Another request saved the session first, in the mode `STRICT` or `EXCLUSIVE`, or there
    were too many requests at once."""

    status = 409
    page = "Another request changed your session at the same time. Nothing was saved; try again."


class Busy(SessionError):
    """The session was not available in time, because other requests use it."""

    status = 503
    page = "There are too many requests for your session at once. Nothing was saved; try again."


class ReadOnly(SessionError):
    """The request changed the session in a mode that forbids the change."""

    status = 500
    page = "This page may not change the session. Nothing was saved."


class StoreError(SessionError):
    """The store failed. A commit may or may not have taken effect."""

    status = 503
    page = "Your session is not available at the moment. Try again later."


CASES: dict[str, type[SessionError]] = {
    "Invalid": Invalid,
    "ClientChanged": ClientChanged,
    "Ended": Ended,
    "Conflict": Conflict,
    "Busy": Busy,
    "ReadOnly": ReadOnly,
    "Store": StoreError,
}
"""The classes, by the names of the cases of the WIT's `session-error`."""
