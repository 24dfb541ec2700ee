"""The headers of a response, and what the session adds to them."""

import re
from collections.abc import Iterable

Headers = list[tuple[str, str]]

NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
BY_SERVER = frozenset(
    "connection content-length host http2-settings keep-alive proxy-authenticate "
    "proxy-authorization proxy-connection transfer-encoding upgrade".split()
)
"""Headers that belong to the connection, or that the server sets itself."""


def checked(headers: Iterable[tuple[str, str]]) -> Headers:
    """Returns the headers without those that the server sets itself.

    Raises `ValueError` for a header that cannot be sent, such as one with a line break.
    """
    headers = [(name, value) for name, value in headers if name.lower() not in BY_SERVER]
    for name, value in headers:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header")
        if not VALUE.fullmatch(value):
            raise ValueError(f"the header {name} has a character that no header can have")
    return headers


def with_session(own: Headers, session: Headers) -> Headers:
    """Returns the headers of a response with those that a commit returned, as the record
    `header` of the WIT says. Those that the response has already are not added again.

    >>> with_session([("Vary", "Accept")], [("Vary", "Cookie"), ("Cache-Control", "no-store")])
    [('Vary', 'Accept'), ('Vary', 'Cookie'), ('Cache-Control', 'no-store')]
    """
    sets_cookie = any(name == "Set-Cookie" for name, _ in session)
    merged = list(own)
    for name, value in session:
        if name == "Cache-Control":
            caching = [value for name, value in merged if name.lower() == "cache-control"]
            merged = [pair for pair in merged if pair[0].lower() != "cache-control"]
            merged.append((name, cache_control(caching, value, sets_cookie)))
        elif (name, value) not in merged:
            merged.append((name, value))
    return merged


def cache_control(own: list[str], session: str, sets_cookie: bool) -> str:
    """Returns the single Cache-Control of a response that has the values `own`, if the
    commit returned the value `session`.

    >>> cache_control(["max-age=60"], "private", False)
    'private'
    >>> cache_control(["private, max-age=60"], "no-store", False)
    'private, max-age=60'
    """
    directives = {part.strip().lower() for value in own for part in value.split(",")}
    if len(own) == 1 and "no-store" in directives:
        return own[0]
    # Several headers may contradict each other.
    if "no-store" in directives:
        return "no-store"
    if len(own) == 1 and "private" in directives and "public" not in directives and not sets_cookie:
        return own[0]
    return session
