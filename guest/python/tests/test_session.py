"""The session of a request, on a store in memory."""

import unittest
from datetime import datetime, timezone

from session3_guest import Ended, Invalid, Mode, ReadOnly, Session
from session3_guest.testing import Client, View
from session3_guest.handler import Application, incoming_handler


class Sessions(unittest.TestCase):
    def setUp(self):
        self.client = Client(incoming_handler(Application(lambda request, session: "")))

    def open(self, mode=Mode.MERGE):
        return Session(lambda: View(self.client, mode))

    def reopened(self, session):
        session.commit()
        return self.open()

    def test_it_is_a_dict_of_its_attributes(self):
        session = self.open()
        session["b"] = [1]
        session.update(a="é", c=None)
        self.assertEqual(session.setdefault("d", {}), {})
        session = self.reopened(session)
        self.assertEqual(list(session), ["a", "b", "c", "d"])
        self.assertEqual(dict(session), {"a": "é", "b": [1], "c": None, "d": {}})
        self.assertEqual(len(session), 4)
        self.assertIn("c", session)
        self.assertNotIn("e", session)
        self.assertNotIn(1, session)
        self.assertNotIn("\ud800", session)
        self.assertEqual(session.get("e", 5), 5)
        self.assertEqual(session.pop("a"), "é")
        del session["b"]
        for name in ("b", "e"):
            with self.assertRaises(KeyError):
                del session[name]
            with self.assertRaises(KeyError):
                session[name]
        session = self.reopened(session)
        self.assertEqual(dict(session), {"c": None, "d": {}})
        session.clear()
        self.assertEqual(dict(self.reopened(session)), {})

    def test_attributes_may_be_attributes_as_in_session3_for_quixote(self):
        session = self.open()
        session.counter = 1
        self.assertEqual((session.counter, session["counter"]), (1, 1))
        session = self.reopened(session)
        self.assertEqual(session.counter, 1)
        del session.counter
        self.assertFalse(hasattr(session, "counter"))
        with self.assertRaises(AttributeError):
            del session.counter
        for name in ("flash", "get", "id", "created"):
            with self.assertRaises(AttributeError, msg=name):
                setattr(session, name, 1)
        self.assertEqual(dict(session), {})
        session.set_user("ann")
        self.assertEqual(session.user, "ann")

    def test_a_value_that_is_changed_in_place_is_saved(self):
        session = self.open()
        session["cart"] = cart = {"items": []}
        cart["items"].append("apple")
        session = self.reopened(session)
        self.assertEqual(session["cart"], {"items": ["apple"]})
        session["cart"]["items"].append("pear")
        session["cart"]["items"].append("plum")
        session.commit()
        session["cart"]["items"].append("cherry")
        session = self.reopened(session)
        self.assertEqual(session["cart"]["items"], ["apple", "pear", "plum", "cherry"])

    def test_a_value_that_is_only_read_is_not_saved(self):
        session = self.open()
        session["cart"] = ["apple"]
        session = self.reopened(session)
        self.assertEqual(session["cart"], ["apple"])
        session._view.set = self.fail
        session.commit()

    def test_a_value_that_was_changed_in_place_to_what_cannot_be_stored_is_refused(self):
        session = self.open()
        session["cart"] = []
        session.commit()
        session["cart"].append(float("nan"))
        with self.assertRaises(Invalid):
            session.commit()
        self.assertEqual(self.open()["cart"], [])

    def test_what_was_removed_or_replaced_is_not_saved_again(self):
        session = self.open()
        session.update(a=[1], b=[1], c=[1])
        session = self.reopened(session)
        a, b, c = session["a"], session["b"], session["c"]
        session["a"] = "new"
        del session["b"]
        session.forget_changes()
        for value in (a, b, c):
            value.append(2)
        session["a"] = "new"
        del session["b"]
        session = self.reopened(session)
        self.assertEqual(dict(session), {"a": "new", "c": [1]})

    def test_a_log_in_keeps_the_attributes_and_a_log_out_removes_them(self):
        session = self.open()
        session["cart"] = []
        session["cart"].append("apple")
        session.user = "ann"
        session["cart"].append("pear")
        session = self.reopened(session)
        self.assertEqual((session.user, session["cart"]), ("ann", ["apple", "pear"]))
        cart = session["cart"]
        session.user = None
        cart.append("plum")
        self.assertNotIn("cart", session)
        session = self.reopened(session)
        self.assertEqual((session.user, dict(session)), (None, {}))

    def test_texts_that_are_no_unicode_never_reach_the_session_manager(self):
        session = self.open()
        for change in (
            lambda: session.__setitem__("\ud800", 1),
            lambda: setattr(session, "user", "\ud800"),
            lambda: session.flash("\ud800"),
            lambda: session.add("\ud800"),
        ):
            self.assertRaises(Invalid, change)
        for value in ("\ud800", None):
            self.assertFalse(session.is_csrf_token(value))
            self.assertFalse(session.has_form_token(value))
            self.assertFalse(session.remove_form_token(value))
            self.assertFalse(session.expire_own(value))
        self.assertRaises(TypeError, session.flash, b"bytes")
        self.assertRaises(TypeError, session.add, "n", 1.0)
        self.assertRaises(Invalid, session.add, "n", 2**63)

    def test_counting(self):
        session = self.open()
        self.assertEqual(session.add("n"), 1)
        self.assertEqual(session.add("n", -3), -2)
        session["n"] = "text"
        with self.assertRaisesRegex(Invalid, "no integer"):
            session.add("n")

    def test_times_are_aware(self):
        session = self.open()
        session.user = "ann"
        session.commit()
        times = [session.created, session.accessed, session.authenticated]
        times += [session.own_sessions()[0].expires]
        for time in times:
            self.assertEqual(time, datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc))

    def test_tokens_messages_and_the_end(self):
        session = self.open()
        token, once = session.csrf_token(), session.create_form_token()
        session.flash("Saved.")
        session.remember()
        self.assertEqual((session.is_new, session.is_remembered, session.id), (True, True, None))
        session = self.reopened(session)
        self.assertTrue(session.is_csrf_token(token))
        self.assertTrue(session.has_form_token(once))
        self.assertEqual([session.remove_form_token(once) for _ in range(2)], [True, False])
        self.assertEqual(session.take_flashes(), ["Saved."])
        self.assertTrue(session.has_info())
        session.expire()
        self.assertRaises(Ended, session.flash, "Bye.")
        self.assertIn(("Set-Cookie", "session3=; Max-Age=0"), session.commit())
        self.assertEqual(self.client.sessions, {})

    def test_other_sessions_of_the_user(self):
        for _ in range(3):
            self.client.cookie = None
            session = self.open()
            session.user = "ann"
            session.commit()
        other = next(own.id for own in session.own_sessions() if not own.is_current)
        self.assertTrue(session.expire_own(other))
        self.assertFalse(session.expire_own(other))
        self.assertEqual(session.expire_others(), 1)
        self.assertEqual([own.id for own in session.own_sessions()], [session.id])

    def test_a_session_that_was_kept_after_its_request_is_closed(self):
        session = self.open()
        session["a"] = 1
        session.commit()
        session._close()
        self.assertRaises(Ended, session.__getitem__, "a")
        self.assertRaises(Ended, lambda: session.user)

    def test_a_mode_may_forbid_changes(self):
        session = self.open(Mode.READ_ONLY)
        self.assertRaises(ReadOnly, session.__setitem__, "a", 1)
