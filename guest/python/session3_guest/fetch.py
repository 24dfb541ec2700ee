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


class FetchError(Exception):
    """There is no response: the server cannot be reached, or the operator does not allow the
    request. The message is the name of the error in WASI, such as `HttpRequestDenied`."""


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
    url: str, method: str = "GET", headers: Mapping[str, str] = {}, body: bytes = b""
) -> FetchResponse:
    """Sends a request to another server, and returns its response, whatever its status is.

        answer = fetch("https://api.example/rates?day=today")
        if answer.status == 200: ...

    The operator allows each server with `session3 serve --allow-outbound HOST`, and limits the
    time of the whole request with `--timeout`. Redirects are not followed. In an ordinary
    interpreter, `urllib` sends the request.

    Raises `FetchError` if there is no response, and `ValueError` if the URL is neither http nor
    https.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is no URL of a server: it begins with http:// or https://")
    try:
        status, pairs, content = transport.send(parts, method, list(headers.items()), body)
    except transport.Failed as error:
        raise FetchError(str(error)) from None
    return FetchResponse(status, MultiDict(pairs, str.lower), content)
