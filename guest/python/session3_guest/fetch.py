"""Requests to other servers."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ._wit import IN_COMPONENT
from .http import MultiDict

if IN_COMPONENT:
    from . import _outgoing as transport
else:
    from . import _urllib as transport  # type: ignore[no-redef]


MAX_BODY = 1024 * 1024
"""How many bytes the body of a response may have, if a call of `fetch` says nothing else."""


class FetchError(Exception):
    """There is no response: the server cannot be reached, the operator does not allow the request,
    or the response is too large. The message is the name of the error in WASI, such as
    `ConnectionRefused` or `HttpResponseBodySize`."""

    @property
    def is_denied(self) -> bool:
        """Whether the operator does not allow the request: `--allow-outbound` has to name the
        server."""
        return str(self) == "HttpRequestDenied"


@dataclass(frozen=True)
class FetchResponse:
    """What another server has answered."""

    status: int
    """The status, such as 200 or 404."""
    headers: MultiDict[str]
    """The headers. Names are compared without regard to case."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as a text in UTF-8. A byte that is not UTF-8 becomes U+FFFD."""
        return self.body.decode(errors="replace")


def fetch(
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] = {},
    body: bytes = b"",
    max_body: int = MAX_BODY,
) -> FetchResponse:
    """Sends a request to another server, and returns its response, whatever its status is.

        answer = fetch("https://api.example/rates?day=today")
        if answer.status == 200: ...

    The operator allows each server with `session3 serve --allow-outbound HOST`, and limits the
    time of the whole request with `--timeout`. `max_body` is how many bytes the body of the
    response may have. Redirects are not followed. In an ordinary interpreter, `urllib` sends the
    request.

    Raises `FetchError` if there is no response, and `ValueError` if the URL is neither http nor
    https.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is no URL of a server: it begins with http:// or https://")
    try:
        status, pairs, content = transport.send(
            parts, method, list(headers.items()), body, max_body
        )
    except transport.Failed as error:
        raise FetchError(str(error)) from None
    if content is None:
        raise FetchError("HttpResponseBodySize")
    return FetchResponse(status, MultiDict(pairs, str.lower), content)
