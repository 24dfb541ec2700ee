"""What the session manager's interface has, as componentize-py generates it in a component.

In an ordinary interpreter, which has no session manager, there are classes of the same names
instead, so that an application can be imported, tested and checked there.
"""

import sys
from dataclasses import field, make_dataclass
from types import SimpleNamespace
from typing import Any

from .errors import CASES, SessionError

__all__ = ["IN_COMPONENT", "Err", "from_value", "manager", "session_types", "to_error", "to_value"]

IN_COMPONENT = sys.platform == "wasi"

if IN_COMPONENT:
    from componentize_py_types import Err
    from wit_world.imports import manager, session_types
else:
    Err = make_dataclass("Err", ["value"], bases=(Exception,), frozen=True)
    manager = SimpleNamespace(
        Header=make_dataclass("Header", ["name", "value"]),
        **{
            f"SessionError_{case}": make_dataclass(
                f"SessionError_{case}", [("value", str, field(default=""))]
            )
            for case in CASES
        },
    )
    session_types = SimpleNamespace(
        **{
            f"Value_{case.title()}": make_dataclass(f"Value_{case.title()}", ["value"])
            for case in ("boolean", "integer", "number", "text", "bytes", "json")
        }
    )


def to_value(case: str, content: Any) -> Any:
    """Returns a value of the WIT's variant `value`."""
    return getattr(session_types, f"Value_{case.title()}")(content)


def from_value(value: Any) -> tuple[str, Any]:
    """Returns the case of a value of the WIT's variant `value`, and what it holds."""
    return type(value).__name__.removeprefix("Value_").lower(), value.value


def to_error(error: Any) -> SessionError:
    """Returns the exception for a case of the WIT's variant `session-error`."""
    kind = CASES[type(error).__name__.removeprefix("SessionError_")]
    return kind(getattr(error, "value", ""))
