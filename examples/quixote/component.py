"""Runs the session manager component, with an instance for each request."""

import secrets
import time

from wasmtime import Engine, Store
from wasmtime.component import Component, Linker, Record, ResourceType, Variant

MANAGER = "session3:sessions/manager@0.2.0"


class SessionError(Exception):
    """An error of the session manager. `tag` is its name in the WIT, such as `conflict`."""

    def __init__(self, error):
        super().__init__(error.tag, error.payload)
        self.tag = error.tag


class Manager:
    """Opens the sessions of requests, with the component at `path` and a store."""

    def __init__(self, path, store):
        self.engine = Engine()
        self.component = Component.from_file(self.engine, path)
        self.linker = Linker(self.engine)
        # The store has no locks, so opening an exclusive session traps. The traps come first:
        # the definitions below replace them, and not the other way round.
        self.linker.allow_shadowing = True
        self.linker.define_unknown_imports_as_traps(self.component)
        store.link(self.linker)
        with self.linker.root() as root:
            with root.add_instance("session3:sessions/events@0.2.0") as events:
                events.add_func("report", lambda _, event: None)
            with root.add_instance("wasi:clocks/wall-clock@0.2.6") as clock:
                clock.add_func("now", lambda _: now())
            with root.add_instance("wasi:random/random@0.2.6") as random:
                random.add_func("get-random-u64", lambda _: secrets.randbits(64))

    def open(self, mode, is_secure, **request):
        """Opens the session of a request in a mode of the WIT, and returns it.

        The keyword arguments are the fields of the record `request` of the WIT. Without TLS
        (`is_secure`), the cookie is not `Secure` and its name has no prefix, since browsers
        accept the default cookie only over TLS."""
        call = Calls(self.engine, self.linker, self.component)
        config = call("default-config")
        if not is_secure:
            config.cookie.name = "session3"
            config.cookie.secure = False
        manager = call("[static]session-manager.open", config)
        fields = Record()
        for name, value in request.items():
            setattr(fields, name.replace("_", "-"), value)
        session = call("[method]session-manager.get-session", manager, fields, mode)
        return Session(call, session)


class Session:
    """A session, with the methods of the resource `session` of the WIT."""

    def __init__(self, call, handle):
        self.call, self.handle = call, handle

    def __getattr__(self, name):
        export = "[method]session." + name.replace("_", "-")
        return lambda *values: self.call(export, self.handle, *values)


class Calls:
    """Creates an instance of the component, and calls its functions by their names."""

    def __init__(self, engine, linker, component):
        self.store = Store(engine)
        self.instance = linker.instantiate(self.store, component)
        self.manager = self.instance.get_export_index(self.store, MANAGER)

    def __call__(self, name, *values):
        index = self.instance.get_export_index(self.store, name, self.manager)
        function = self.instance.get_func(self.store, index)
        result = function(self.store, *values)
        # wasmtime returns the content of a `result` if its type tells success from failure.
        if isinstance(result, Variant) and result.tag in ERRORS:
            raise SessionError(result)
        return result


ERRORS = {"invalid", "client-changed", "ended", "conflict", "busy", "read-only", "store"}


def now():
    made = Record()
    made.seconds, made.nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return made
