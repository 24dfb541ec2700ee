"""Handlers, without a component."""

import contextlib
import io
import unittest

from session3_guest import Conflict, HTTPError, Mode, Response, handler, redirect
from session3_guest.testing import Client
from session3_guest.wsgi import wsgi_handler


def client_of(answer, **options):
    handler(**options)(answer)
    return Client(globals().pop("IncomingHandler"))


def headers(page, name):
    return [value for other, value in page.headers if other.lower() == name.lower()]


class Handlers(unittest.TestCase):
    def setUp(self):
        self.log = self.enterContext(contextlib.redirect_stderr(io.StringIO()))

    def test_a_response_saves_the_session_before_it_is_sent(self):
        def app(request, session):
            session.add("n")
            return Response(str(session["n"]), int(request.path[1:]))

        client = client_of(app)
        self.assertEqual(client.get("/200").text, "1")
        self.assertEqual(client.get("/404").text, "2")
        self.assertEqual(client.get("/500").text, "3")
        self.assertEqual(client.get("/599").text, "3")
        self.assertEqual(client.get("/200").text, "3")

    def test_an_exception_saves_nothing(self):
        def app(request, session):
            session.add("n")
            match request.path:
                case "/forbidden":
                    raise HTTPError(403, "Not you.")
                case "/conflict":
                    raise Conflict
                case "/missing":
                    request.query["q"]
                case "/broken":
                    raise RuntimeError("secret")
                case "/nothing":
                    return None
                case "/header":
                    return Response(headers={"X": "a\nb"})
                case "/status":
                    return Response(status=99)
            return str(session["n"])

        client = client_of(app)
        client.get("/")
        for path, status in [
            ("forbidden", 403),
            ("conflict", 409),
            ("missing", 400),
            ("broken", 500),
            ("nothing", 500),
            ("header", 500),
            ("status", 500),
        ]:
            page = client.get(f"/{path}")
            self.assertEqual(page.status, status, path)
            self.assertNotIn("secret", page.text)
            self.assertEqual(headers(page, "Cache-Control"), ["no-store"])
        self.assertIn("RuntimeError: secret", self.log.getvalue())
        self.assertIn("has to return a Response or a str", self.log.getvalue())
        self.assertEqual(client.get("/").text, "2")

    def test_a_page_without_a_session_opens_none(self):
        page = client_of(lambda request, session: "Hello").get("/")
        self.assertEqual(page.headers, [("Content-Type", "text/html; charset=utf-8")])

    def test_the_headers_of_the_session_are_added(self):
        def app(request, session):
            session.user = "ann"
            return Response("", headers=[("Vary", "Accept"), ("Cache-Control", "public")])

        page = client_of(app).get("/")
        self.assertEqual(headers(page, "Vary"), ["Accept", "Cookie"])
        self.assertEqual(headers(page, "Cache-Control"), ["no-store"])
        self.assertEqual(len(headers(page, "Set-Cookie")), 1)

    def test_a_commit_by_the_handler_counts_even_if_it_fails_afterwards(self):
        def app(request, session):
            if request.path == "/":
                return str(session.get("n"))
            session["n"] = 1
            session.commit()
            session["n"] = 2
            raise RuntimeError

        client = client_of(app)
        page = client.get("/fail")
        self.assertEqual(page.status, 500)
        self.assertEqual(len(headers(page, "Set-Cookie")), 1)
        self.assertEqual(client.get("/").text, "1")

    def test_a_failing_commit_answers_with_its_status(self):
        def app(request, session):
            session["cart"] = []
            session["cart"].append(float("nan"))
            return "Saved."

        page = client_of(app).get("/")
        self.assertEqual(page.status, 400)
        self.assertNotIn("Saved", page.text)
        self.assertIn("Invalid: the attribute 'cart' cannot be nan", self.log.getvalue())
        self.assertEqual(headers(page, "Set-Cookie"), [])

    def test_a_head_request_changes_nothing_and_has_no_body(self):
        client = client_of(lambda request, session: f"{request.method} {session.add('n')}")
        self.assertEqual(client.get("/").text, "GET 1")
        page = client.send("HEAD", "/")
        self.assertEqual((page.status, page.text), (200, ""))
        self.assertEqual(client.get("/").text, "GET 2")

    def test_the_mode_may_depend_on_the_request(self):
        def mode(request):
            return Mode.READ_ONLY if request.path == "/read" else Mode.MERGE

        client = client_of(lambda request, session: str(session.add("n")), mode=mode)
        self.assertEqual(client.get("/").text, "1")
        self.assertEqual(client.get("/read").status, 500)
        client = client_of(lambda request, session: str(session.add("n")), mode=Mode.READ_ONLY)
        self.assertEqual(client.get("/").status, 500)

    def test_the_pages_of_errors_may_be_others(self):
        def app(request, session):
            raise HTTPError(403, "Not you.")

        def page(status, text):
            caching = {"Cache-Control": "max-age=60"}
            return Response(f"<h1>{status}</h1>{text}", status, caching)

        found = client_of(app, error_page=page).get("/")
        self.assertEqual((found.status, found.text), (403, "<h1>403</h1>Not you."))
        self.assertEqual(headers(found, "Cache-Control"), ["no-store"])
        found = client_of(app, error_page=lambda status, text: None).get("/")
        self.assertEqual((found.status, found.text), (403, "Not you.\n"))

    def test_a_function_stays_as_it_is(self):
        @handler
        def app(request, session):
            return redirect("/")

        self.assertEqual(app(None, None).status, 303)
        self.assertEqual(Client(globals().pop("IncomingHandler")).get("/").location, "/")


    def test_a_module_has_one_handler(self):
        def one(request, session):
            return "1"

        def two(request, session):
            return "2"

        handler(one)
        with self.assertRaisesRegex(TypeError, "two and one are both"):
            handler(two)
        handler(one)
        del globals()["IncomingHandler"]


class Wsgi(unittest.TestCase):
    def setUp(self):
        self.log = self.enterContext(contextlib.redirect_stderr(io.StringIO()))

    def client(self, answer):
        def app(environ, start_response):
            return answer(environ, start_response)

        return Client(wsgi_handler(app))

    def test_the_environ_has_the_request(self):
        seen = {}

        def app(environ, start_response):
            seen.update(environ, body=environ["wsgi.input"].read())
            write = start_response("201 Created", [("X-A", "b"), ("Content-Length", "99")])
            write(b"Hel")
            return iter([b"lo"])

        page = self.client(app).send(
            "POST",
            "/%C3%A9?a=b",
            b"body",
            {"Content-Type": "text/plain", "X-B": "c", "X_B": "d", "Proxy": "e"},
        )
        self.assertEqual((page.status, page.text, page.headers), (201, "Hello", [("X-A", "b")]))
        expected = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/\xc3\xa9",
            "QUERY_STRING": "a=b",
            "CONTENT_TYPE": "text/plain",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "HTTP_HOST": "localhost",
            "HTTP_X_B": "c",
            "body": b"body",
        }
        self.assertEqual({name: seen.get(name) for name in expected}, expected)
        self.assertNotIn("HTTP_PROXY", seen)

    def test_the_session_is_saved_unless_the_application_fails(self):
        closed = []

        class Chunks(list):
            def close(self):
                closed.append(True)

        def app(environ, start_response):
            n = environ["session3.session"].add("n")
            if environ["PATH_INFO"] == "/late":
                start_response("200 OK", [])
                return (1 / 0 for _ in range(1))
            if environ["PATH_INFO"] == "/silent":
                return []
            start_response("500 Oops" if environ["PATH_INFO"] == "/fail" else "200 OK", [])
            return Chunks([str(n).encode()])

        client = self.client(app)
        self.assertEqual(client.get("/").text, "1")
        for path in ("/fail", "/late", "/silent"):
            self.assertEqual(client.get(path).status, 500)
        self.assertEqual(client.get("/").text, "2")
        self.assertEqual(len(closed), 3)
