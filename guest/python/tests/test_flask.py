"""Flask, without a component."""

import contextlib
import io
import unittest
from datetime import datetime, timezone
from uuid import UUID

from flask import Flask, abort, flash, get_flashed_messages, request, session

from session3_guest import Conflict
from session3_guest.flask import flask_handler
from session3_guest.testing import Client

VALUES = {
    "text": "é",
    "number": 1.5,
    "tuple": (1, [b"x"]),
    "uuid": UUID(int=5),
    "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    "tagged": {" t": [1]},
}


def make_app():
    app = Flask(__name__)

    @app.get("/add/<item>")
    def add(item):
        session.setdefault("cart", {"items": []})["items"].append(item)
        return " ".join(session["cart"]["items"])

    @app.get("/fail/<how>")
    def fail(how):
        session["cart"] = how
        if how == "conflict":
            raise Conflict
        abort(int(how)) if how.isdecimal() else 1 / 0

    @app.get("/values")
    def values():
        if request.args:
            session.update(VALUES)
        return str(dict(session) == VALUES)

    @app.post("/login")
    def log_in():
        session.user = request.form["user"]
        session.permanent = True
        flash("Hello", "greeting")
        return f"{session.new} {session.permanent}"

    @app.get("/")
    def start():
        return f"{session.user} {get_flashed_messages(with_categories=True)} {session.new}"

    return app


class FlaskSessions(unittest.TestCase):
    def setUp(self):
        self.log = self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        self.app = make_app()
        self.client = Client(flask_handler(self.app))

    def test_changes_in_place_are_saved(self):
        self.client.get("/add/apple")
        self.assertEqual(self.client.get("/add/pear").text, "apple pear")

    def test_a_page_that_fails_saves_nothing(self):
        self.client.get("/add/apple")
        for how, status in [("conflict", 409), ("error", 500), ("503", 503)]:
            self.assertEqual(self.client.get(f"/fail/{how}").status, status)
            self.assertEqual(self.client.get("/add/pear").text.split()[0], "apple", how)
        self.assertNotIn("Conflict", self.log.getvalue())

    def test_a_response_that_the_application_chose_is_no_failure(self):
        self.assertEqual(self.client.get("/fail/403").status, 403)
        self.assertEqual(len(self.client.sessions), 1)

    def test_values_come_back_as_flask_gives_them_back(self):
        self.client.get("/values?set=1")
        self.assertEqual(self.client.get("/values").text, "True")

    def test_the_user_and_messages(self):
        self.assertEqual(self.client.post("/login", {"user": "ann"}).text, "True True")
        self.assertEqual(self.client.get("/").text, "ann [('greeting', 'Hello')] False")
        self.assertEqual(self.client.get("/").text, "ann [] False")
        [stored] = self.client.sessions.values()
        self.assertEqual((stored.user, stored.is_remembered), ("ann", True))

    def test_a_form_that_is_too_large_is_refused(self):
        def too_large():
            from session3_guest import HTTPError

            raise HTTPError(413, "Too large.")

        from session3_guest import Request
        from session3_guest.testing import Mode, View

        kind = [("Content-Type", "application/x-www-form-urlencoded")]
        page = self.client.application.respond(
            Request("POST", "/login", kind, read=too_large),
            lambda: View(self.client, Mode.MERGE),
        )
        self.assertEqual(page.status, 413)

    def test_flasks_own_client_still_has_flasks_own_session(self):
        self.app.secret_key = "test"
        client = self.app.test_client()
        client.get("/add/apple")
        self.assertEqual(client.get("/add/pear").text, "apple pear")
