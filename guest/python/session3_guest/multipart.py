"""Forms with files: `multipart/form-data` (RFC 7578)."""

from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value

from .errors import HTTPError

MALFORMED = "The form is malformed."


@dataclass
class Part:
    """A field of a form, or a file, which has a name of its own."""

    name: str
    filename: str | None
    content_type: str
    content: bytes


def parse(content_type: str, body: bytes, limit: int) -> list[Part]:
    """Returns the parts of a body, of which there may be as many as `limit`. `content_type` is
    the header with the boundary.

    Raises `HTTPError` with the status 400 for a malformed body.
    """
    boundary = _header("content-type", content_type).get_param("boundary")
    if not isinstance(boundary, str) or not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise HTTPError(400, MALFORMED)
    delimiter = b"\r\n--" + boundary.encode()
    _, *parts = (b"\r\n" + body).split(delimiter, limit + 1)
    if not parts or not parts[-1].startswith(b"--"):
        raise HTTPError(400, MALFORMED)
    return [_part(part) for part in parts[:-1]]


def _part(part: bytes) -> Part:
    padding, _, rest = part.partition(b"\r\n")
    head, blank, content = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if padding.strip() or not blank:
        raise HTTPError(400, MALFORMED)
    headers = {}
    for line in head.decode(errors="replace").split("\r\n"):
        field, _, value = line.partition(":")
        headers[field.strip().lower()] = value.strip()
    disposition = _header("content-disposition", headers.get("content-disposition", ""))
    name = disposition.get_param("name", header="content-disposition")
    filename = disposition.get_param("filename", header="content-disposition")
    if name is None:
        raise HTTPError(400, MALFORMED)
    return Part(
        name=_unescape(name),
        filename=None if filename is None else _unescape(filename),
        content_type=headers.get("content-type", "text/plain"),
        content=content,
    )


def _header(name: str, value: str) -> Message:
    message = Message()
    message[name] = value.replace("\r", " ").replace("\n", " ")
    return message


def _unescape(parameter: str | tuple[str | None, str | None, str]) -> str:
    """Returns a parameter as a text, with what browsers escape in names (HTML,
    "multipart/form-data encoding")."""
    text = collapse_rfc2231_value(parameter)
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
