"""Requests to other servers, which the operator has to allow."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from . import headers as header_rules
from ._wit import IN_COMPONENT
from .errors import HTTPError
from .http import MultiDict

if IN_COMPONENT:
    # A running component can import nothing more.
    from . import _wasi

MAX_BODY = 1024 * 1024
"""How many bytes the body of a response may have, if a call of `fetch` says nothing else."""


class FetchError(HTTPError):
    """Another server could not be called, or gave no complete response. If the handler does not
    catch it, its request is answered with 502."""

    status = 502
    page = "Another server, which this page needs, does not answer. Nothing was saved."
    reason: str
    """Why: a case of the variant `error-code` of wasi:http in lower case, such as
    `http-request-denied`, `dns-error`, `connection-refused` or `connection-timeout`."""

    def __init__(self, host: str, reason: str) -> None:
        Exception.__init__(self, f"the call of {host} failed: {reason}")
        self.reason = reason

    @property
    def is_denied(self) -> bool:
        """Whether the operator has not allowed the call, with `--allow-outbound`."""
        return self.reason == "http-request-denied"


@dataclass(frozen=True)
class FetchRequest:
    """A request to another server, as `fetch` makes it."""

    method: str
    is_secure: bool
    host: str
    """The host, with the port if the URL has one."""
    target: str
    """The path and the query."""
    headers: list[tuple[str, str]]
    body: bytes
    timeout: float | None
    max_body: int


@dataclass(frozen=True)
class FetchResponse:
    """The response of another server.

    >>> response = FetchResponse(200, [("Content-Type", "text/plain")], b"Hello")
    >>> response.status, response.headers["content-type"], response.text
    (200, 'text/plain', 'Hello')
    """

    status: int
    """The status, such as 200 or 404."""
    header_list: list[tuple[str, str]]
    """The headers in their order, with their bytes as characters (ISO 8859-1)."""
    body: bytes
    """The body."""

    @property
    def headers(self) -> MultiDict[str]:
        """The headers. Lower and upper case are equal in their names."""
        return MultiDict(self.header_list, str.lower)

    @property
    def text(self) -> str:
        """The body as a text in UTF-8."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """Returns the value of the body, which has to be JSON; raises `ValueError` otherwise."""
        return json.loads(self.body)


def fetch(
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: str | bytes = b"",
    timeout: float | None = None,
    max_body: int = MAX_BODY,
) -> FetchResponse:
    """Calls another server, and returns its response, whatever its status is:

        fetch("https://api.example.com/prices").json()

    The operator has to allow the server, as with `--allow-outbound api.example.com`. `timeout` is
    how many seconds the connection, the first byte of the response, and the time between two parts
    of its body may take each; the time that the server gives a request limits the call in any case.
    `max_body` is how many bytes the body of the response may have. Redirects are not followed.

    Raises `FetchError` if there is no response, and `ValueError` for a URL or a header that is not
    allowed. An ordinary interpreter calls no other server: there, the error is that of a call that
    is not allowed, and a test replaces this function, as `unittest.mock.patch` does.
    """
    request = _request(url, method, headers, body, timeout, max_body)
    if not IN_COMPONENT:
        raise FetchError(request.host, "http-request-denied")
    return _wasi.call(request)


def _request(
    url: str,
    method: str,
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    body: str | bytes,
    timeout: float | None,
    max_body: int,
) -> FetchRequest:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError(f"{url!r} is no URL that can be called, such as 'https://example.com/'")
    pairs = header_rules.checked(headers.items() if isinstance(headers, Mapping) else headers)
    content = body.encode() if isinstance(body, str) else body
    if content:
        pairs.append(("Content-Length", str(len(content))))
    return FetchRequest(
        method=method,
        is_secure=parts.scheme == "https",
        host=parts.netloc,
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        headers=pairs,
        body=content,
        timeout=timeout,
        max_body=max_body,
    )
