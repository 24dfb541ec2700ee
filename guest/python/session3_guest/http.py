"""Requests and responses."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import parse_qsl, unquote

from . import multipart
from .errors import HTTPError

T = TypeVar("T")

MAX_FIELDS = 1000
"""How many fields a form or a query may have."""


class MultiDict(Mapping[str, T]):
    """Fields of a form or a query, headers, or cookies. Several may have the same name:
    `fields[name]` is the first one, and `fields.getlist(name)` has all of them. A name that is
    missing answers the request with the status 400, unless the handler catches the KeyError.

    >>> fields = MultiDict([("tag", "new"), ("tag", "red")])
    >>> fields["tag"], fields.getlist("tag"), fields.get("colour", "none")
    ('new', ['new', 'red'], 'none')
    """

    def __init__(
        self, fields: Iterable[tuple[str, T]] = (), fold: Callable[[str], str] = str
    ) -> None:
        """`fold` makes names equal, as `str.lower` does those of headers."""
        self._fold = fold
        self._fields: dict[str, list[T]] = {}
        for name, value in fields:
            self._fields.setdefault(fold(name), []).append(value)

    def __getitem__(self, name: str) -> T:
        try:
            return self._fields[self._fold(name)][0]
        except KeyError:
            raise MissingField(name) from None

    def getlist(self, name: str) -> list[T]:
        """Returns all values with a name, in their order."""
        return list(self._fields.get(self._fold(name), ()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class MissingField(HTTPError, KeyError):
    """A field, header or cookie that a handler wanted is missing."""

    def __init__(self, name: str) -> None:
        super().__init__(400, "The request is not complete.")
        self.args = (name,)


@dataclass(frozen=True)
class File:
    """A file that a form has sent."""

    filename: str
    """The name that the browser gave it. It may be anything, `../../x` too."""
    content_type: str
    """The type that the browser gave it."""
    content: bytes
    """The bytes."""


@dataclass
class Request:
    """A request of a browser.

    >>> request = Request("GET", "/search?q=apple&page=2")
    >>> request.path, request.query["q"]
    ('/search', 'apple')
    """

    method: str
    """The method, such as `GET`. A response to HEAD is that to GET without its body."""
    target: str
    """The path and the query, as the browser sent them."""
    header_list: list[tuple[str, str]] = field(default_factory=list)
    """The headers in their order, with their bytes as characters (ISO 8859-1)."""
    is_secure: bool = False
    """Whether the browser uses TLS."""
    host: str = "localhost"
    """The host with the port, as the browser sent it."""
    read: Callable[[], bytes] = bytes
    """Reads the body."""

    @cached_property
    def path(self) -> str:
        """The path without the query, with `%` sequences replaced."""
        return unquote(self.target.partition("?")[0], errors="replace")

    @property
    def query_string(self) -> str:
        """The query as the browser sent it, without `?`."""
        return self.target.partition("?")[2]

    @cached_property
    def query(self) -> MultiDict[str]:
        """The fields of the query."""
        return MultiDict(_parse(self.query_string))

    @cached_property
    def headers(self) -> MultiDict[str]:
        """The headers. Lower and upper case are equal in their names."""
        return MultiDict(self.header_list, str.lower)

    @cached_property
    def cookies(self) -> MultiDict[str]:
        """The cookies."""
        pairs = "; ".join(self.headers.getlist("cookie")).split(";")
        return MultiDict(
            (name.strip(), value.strip())
            for name, equals, value in (pair.partition("=") for pair in pairs)
            if equals
        )

    @property
    def remote_address(self) -> str | None:
        """The address of the browser, from the header `X-Forwarded-For` that `session3 serve`
        sets. With another server, it may be what the browser claims."""
        return self._text("x-forwarded-for")

    @property
    def user_agent(self) -> str | None:
        """The User-Agent header."""
        return self._text("user-agent")

    @cached_property
    def body(self) -> bytes:
        """The body. A body larger than the handler's `max_body` answers the request with the
        status 413."""
        return self.read()

    def form(self) -> MultiDict[str]:
        """Returns the fields of the form in the body. It is empty if the body is no form."""
        return self._form[0]

    def files(self) -> MultiDict[File]:
        """Returns the files of the form in the body, which has to be sent with
        `enctype="multipart/form-data"`."""
        return self._form[1]

    @cached_property
    def _form(self) -> tuple[MultiDict[str], MultiDict[File]]:
        kind = self.headers.get("content-type", "")
        match kind.partition(";")[0].strip().lower():
            case "application/x-www-form-urlencoded":
                return MultiDict(_parse(self.body.decode(errors="replace"))), MultiDict()
            case "multipart/form-data":
                return self._multipart(kind)
        return MultiDict(), MultiDict()

    def _multipart(self, kind: str) -> tuple[MultiDict[str], MultiDict[File]]:
        fields, files = [], []
        for part in multipart.parse(kind, self.body, MAX_FIELDS):
            if part.filename is None:
                fields.append((part.name, part.content.decode(errors="replace")))
            else:
                files.append((part.name, File(part.filename, part.content_type, part.content)))
        return MultiDict(fields), MultiDict(files)

    def _text(self, name: str) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.encode("latin-1").decode(errors="replace")


class Response:
    """A response: a page, or what else a handler returns.

    >>> Response("<p>Hello", headers={"X-Colour": "blue"}).headers
    [('X-Colour', 'blue'), ('Content-Type', 'text/html; charset=utf-8')]
    >>> Response(b"{}", 201, content_type="application/json").status
    201
    """

    def __init__(
        self,
        body: str | bytes = b"",
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        content_type: str | None = "text/html; charset=utf-8",
    ) -> None:
        """A `str` is sent in UTF-8. `content_type` does not replace a Content-Type among
        `headers`."""
        self.body = body.encode() if isinstance(body, str) else body
        self.status = int(status)
        self.headers = list(headers.items() if isinstance(headers, Mapping) else headers)
        names = [name.lower() for name, _ in self.headers]
        if content_type is not None and self.body and "content-type" not in names:
            self.headers.append(("Content-Type", content_type))


def redirect(location: str, status: int = HTTPStatus.SEE_OTHER) -> Response:
    """Returns a response that sends the browser to another page.

    >>> redirect("/").headers
    [('Location', '/')]
    """
    return Response(status=status, headers=[("Location", location)])


def _parse(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise HTTPError(400, f"The request has more than {MAX_FIELDS} fields.") from None
