"""A store over SQLite. Several processes may use the same database."""

import sqlite3
import time

from wasmtime.component import Record, Variant

SCHEMA = """CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, version INTEGER NOT NULL, modified INTEGER NOT NULL,
    user TEXT, expires INTEGER NOT NULL, data BLOB NOT NULL)"""


def now():
    return time.time_ns() // 1_000_000


def record(**fields):
    """Creates a record of the WIT, whose field names have hyphens instead of underscores."""
    made = Record()
    for name, value in fields.items():
        setattr(made, name.replace("_", "-"), value)
    return made


class SqliteStore:
    """A store for a component. Each method `store_…` implements the function of that name in
    the interface `session3:sessions/store`. It returns the errors of the WIT as values; an
    exception makes the call of the component fail."""

    def __init__(self, path):
        # Without an isolation level, each statement is a transaction.
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute(SCHEMA)

    def link(self, linker):
        """Adds the functions of the store to the imports of a component."""
        with linker.root() as root, root.add_instance("session3:sessions/store@0.2.0") as store:
            for name in dir(self):
                if name.startswith("store_"):
                    export = name.removeprefix("store_").replace("_", "-")
                    store.add_func(export, getattr(self, name))

    def rows(self, sql, *values):
        return self.database.execute(sql, values).fetchall()

    def changed(self, sql, *values):
        """Executes a statement and returns the number of rows that it changed."""
        return self.database.execute(sql, values).rowcount

    def refusal(self, id):
        """Returns the error of a compare-and-swap that changed no row."""
        version = self.rows("SELECT version FROM sessions WHERE id = ?", id)
        return Variant("conflict", version[0][0]) if version else Variant("absent")

    def store_create_session(self, _, id, state):
        try:
            self.changed(
                "INSERT INTO sessions VALUES (?, 1, ?, ?, ?, ?)",
                *(id, now(), state.user, state.expires, state.data),
            )
        except sqlite3.IntegrityError:
            return Variant("exists")
        return 1

    def store_load_session(self, _, id):
        rows = self.rows("SELECT * FROM sessions WHERE id = ?", id)
        return stored(rows[0]) if rows else None

    def store_save_session(self, _, id, state, expected):
        saved = self.changed(
            "UPDATE sessions SET version = version + 1, modified = ?, user = ?, expires = ?,"
            " data = ? WHERE id = ? AND version = ?",
            *(now(), state.user, state.expires, state.data, id, expected),
        )
        return expected + 1 if saved else self.refusal(id)

    def store_touch_session(self, _, id, expires, expected):
        touched = self.changed(
            "UPDATE sessions SET modified = ?, expires = ? WHERE id = ? AND version = ?",
            *(now(), expires, id, expected),
        )
        return None if touched else self.refusal(id)

    def store_delete_session(self, _, id):
        return self.changed("DELETE FROM sessions WHERE id = ?", id) == 1

    def store_delete_old_sessions(self, _, minutes):
        deleted = self.changed(
            "DELETE FROM sessions WHERE modified < ? OR expires <= ?",
            *(now() - minutes * 60_000, now()),
        )
        remaining = self.rows("SELECT count(*) FROM sessions")[0][0]
        return record(deleted=deleted, remaining=remaining, complete=True)

    def store_iter_sessions(self, _, cursor, limit):
        rows = self.rows(
            "SELECT * FROM sessions WHERE id > ? ORDER BY id LIMIT ?", cursor or "", limit + 1
        )
        page = [stored(row) for row in rows[:limit]]
        return record(
            sessions=page, damaged=[], next=page[-1].id if len(rows) > limit else None
        )

    def store_sessions_of_user(self, _, user):
        return [id for (id,) in self.rows("SELECT id FROM sessions WHERE user = ?", user)]

    def store_is_multiprocess_safe(self, _):
        return True

    def store_is_thread_safe(self, _):
        return False


def stored(row):
    id, version, modified, user, expires, data = row
    state = record(user=user, expires=expires, data=data)
    return record(id=id, version=version, modified=modified, state=state)
