"""Requests to other servers in an ordinary interpreter, for tests."""

from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult
from urllib.request import HTTPRedirectHandler, Request, build_opener

Failed = URLError


class NoRedirects(HTTPRedirectHandler):
    """Returns a redirect in place of following it."""

    def redirect_request(self, *_: object) -> None:
        return None


def send(
    url: SplitResult, method: str, headers: list[tuple[str, str]], body: bytes, max_body: int
) -> tuple[int, list[tuple[str, str]], bytes | None]:
    """Sends a request, and returns the status, the headers and the body of the response. The body
    is None if it has more than `max_body` bytes."""
    request = Request(url.geturl(), body or None, dict(headers), method=method)
    try:
        with build_opener(NoRedirects).open(request) as response:
            return response.status, response.headers.items(), _read(response, max_body)
    except HTTPError as response:
        return response.code, response.headers.items(), _read(response, max_body)


def _read(response: IO[bytes], max_body: int) -> bytes | None:
    content = response.read(max_body + 1)
    return content if len(content) <= max_body else None
