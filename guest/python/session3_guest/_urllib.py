"""Requests to other servers in an ordinary interpreter, for tests."""

from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult
from urllib.request import HTTPRedirectHandler, Request, build_opener

Failed = URLError


class NoRedirects(HTTPRedirectHandler):
    """Returns a redirect in place of following it."""

    def redirect_request(self, *_: object) -> None:
        return None


def send(
    url: SplitResult, method: str, headers: list[tuple[str, str]], body: bytes
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Sends a request, and returns the status, the headers and the body of the response."""
    request = Request(url.geturl(), body or None, dict(headers), method=method)
    try:
        with build_opener(NoRedirects).open(request) as response:
            return response.status, response.headers.items(), response.read()
    except HTTPError as response:
        return response.code, response.headers.items(), response.read()
