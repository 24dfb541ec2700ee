"""How values of Python become values of a session, and how they come back.

A value comes back as it was, or it is refused. The README has the table.
"""

import json
from math import isfinite
from typing import Any

from .errors import Invalid

INTEGERS = range(-(2**63), 2**63)
"""The integers that the case `integer` holds, and with them `Session.add`."""
MAX_DEPTH = 100
"""How deep lists and dicts may be nested."""


def encode(name: str, value: Any) -> tuple[str, Any]:
    """Returns the case of the WIT's variant `value` for a value, and what that case holds.
    `name` is the attribute's name, for messages.

    Raises `Invalid` for a value that cannot be stored, and `TypeError` for a type that
    cannot.

    >>> encode("visits", 3)
    ('integer', 3)
    >>> encode("cart", ["apple", {"count": 2}])
    ('json', '["apple",{"count":2}]')
    """
    kind = type(value)
    if kind is bool:
        return "boolean", value
    if kind is int and value in INTEGERS:
        return "integer", value
    if kind is float:
        return "number", _finite(name, value)
    if kind is str:
        return "text", text(f"the attribute {name!r}", value)
    if kind is bytes:
        return "bytes", value
    return "json", _to_json(name, value)


def decode(name: str, case: str, content: Any) -> Any:
    """Returns the value of Python for what a case of the WIT's variant `value` holds.

    Raises `Invalid` for a JSON text that has no exact value in Python. Only another program
    can have stored such a text.

    >>> decode("cart", "json", '["apple"]')
    ['apple']
    """
    if case != "json":
        return content
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
        # What could not be stored again would be lost once it is changed.
        _to_json(name, value)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the JSON text of the attribute {name!r} is not valid: {error}") from None
    return value


def text(what: str, value: Any) -> str:
    """Returns a text that the session manager accepts. `what` names the text in messages.

    Raises `TypeError` if it is no `str`, and `Invalid` if it has a lone surrogate, which is
    no Unicode text.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if not is_text(value):
        raise Invalid(f"{what} has a lone surrogate, which is no Unicode text")
    return value


def is_text(value: Any) -> bool:
    """Returns whether a value is a text without lone surrogates."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _to_json(name: str, value: Any) -> str:
    _check(name, value, MAX_DEPTH)
    try:
        encoded = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        # An integer with more digits than Python converts.
        raise Invalid(f"the attribute {name!r} cannot be stored: {error}") from None
    return text(f"the attribute {name!r}", encoded)


def _check(name: str, value: Any, depth: int) -> None:
    """Refuses what JSON cannot give back as it was."""
    if depth == 0:
        raise Invalid(f"the attribute {name!r} is nested deeper than {MAX_DEPTH} levels")
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(
                    f"the attribute {name!r} has a dict with a key of the type "
                    f"{type(key).__name__}: use str keys"
                )
            _check(name, item, depth - 1)
    elif kind is list:
        for item in value:
            _check(name, item, depth - 1)
    elif kind is float:
        _finite(name, value)
    elif value is not None and kind not in (bool, int, str):
        raise TypeError(
            f"the attribute {name!r} cannot hold a value of the type {kind.__name__}: "
            "store bool, int, float, str, bytes, None, or lists and dicts of these without bytes"
        )


def _finite(name: str, value: float) -> float:
    if not isfinite(value):
        raise Invalid(f"the attribute {name!r} cannot be {value}: store a finite number")
    return value


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
