"""Requests, forms and headers."""

import unittest

from session3_guest import HTTPError, Request, Response
from session3_guest.headers import cache_control, checked, with_session

FORM = "application/x-www-form-urlencoded"


def form(kind, body):
    return Request("POST", "/", [("Content-Type", kind)], read=lambda: body)


def multipart(*parts, end=b"--\r\n"):
    body = b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x" + end
    return form("multipart/form-data; boundary=x", body)


class Requests(unittest.TestCase):
    def test_a_form_has_its_fields(self):
        request = form(FORM + "; charset=UTF-8", b"user=Ann+M%C3%BC&tag=&tag=b&x=%FF")
        fields = request.form()
        self.assertEqual(dict(fields), {"user": "Ann Mü", "tag": "", "x": "\ufffd"})
        self.assertEqual(fields.getlist("tag"), ["", "b"])
        self.assertEqual(fields.getlist("none"), [])
        with self.assertRaises(KeyError) as caught:
            fields["none"]
        self.assertEqual(caught.exception.status, 400)
        self.assertEqual(len(form("text/plain", b"a=b").form()), 0)
        with self.assertRaises(HTTPError):
            form(FORM, b"a&" * 1001).form()

    def test_a_form_may_have_files(self):
        content = bytes(range(256)) + b"\r\n--\r\n\n--y\r\n"
        request = multipart(
            b'Content-Disposition: form-data; name="user"\r\n\r\nAnn\xc3\xa9',
            b'content-disposition: form-data; name="f%22"; filename="a;b.png"\r\n'
            b"Content-Type: image/png\r\n\r\n" + content,
            b'Content-Disposition: form-data; name="empty"; filename=""\r\n\r\n',
        )
        self.assertEqual(dict(request.form()), {"user": "Anné"})
        file = request.files()['f"']
        self.assertEqual(
            (file.filename, file.content_type, file.content), ("a;b.png", "image/png", content)
        )
        self.assertEqual(request.files()["empty"].content, b"")
        self.assertEqual(dict(multipart().form()), {})

    def test_a_malformed_form_is_refused(self):
        part = b'Content-Disposition: form-data; name="a"\r\n\r\n'
        for request in [
            multipart(part, end=b""),
            multipart(b"Content-Disposition: form-data\r\n\r\n"),
            multipart(b"\r\n\r\n"),
            multipart(b"x"),
            multipart(*[part] * 1001),
            form("multipart/form-data", b"--x--"),
            form("multipart/form-data; boundary=\xe9", b"--x--"),
            form("multipart/form-data; boundary=x", b""),
        ]:
            with self.assertRaises(HTTPError) as caught:
                request.form()
            self.assertEqual(caught.exception.status, 400)

    def test_headers_and_cookies(self):
        request = Request(
            "GET",
            "/%C3%A9%2F?a=b%20c",
            [("cookie", 'a="1"; b=2'), ("Cookie", "c; d=3=4"), ("User-Agent", "\xc3\xa9")],
        )
        self.assertEqual((request.path, request.query["a"]), ("/é/", "b c"))
        self.assertEqual(dict(request.cookies), {"a": '"1"', "b": "2", "d": "3=4"})
        self.assertEqual(request.user_agent, "é")
        self.assertIsNone(request.remote_address)
        self.assertEqual(request.headers["USER-AGENT"], "\xc3\xa9")


class Headers(unittest.TestCase):
    def test_no_response_becomes_cacheable_for_others(self):
        for own, sets_cookie, expected in [
            (["public, max-age=60"], False, "no-store"),
            (["no-cache"], False, "no-store"),
            (["Private"], False, "Private"),
            (['private="set-cookie"'], False, "no-store"),
            (["public, private"], False, "no-store"),
            (["private", "public"], False, "no-store"),
            (["private"], True, "no-store"),
            (["max-age=60, NO-STORE"], True, "max-age=60, NO-STORE"),
            (["public", "no-store"], False, "no-store"),
        ]:
            self.assertEqual(cache_control(own, "no-store", sets_cookie), expected, own)
        self.assertEqual(cache_control(["private", "max-age=1"], "private", False), "private")

    def test_a_response_keeps_its_headers_beside_those_of_the_session(self):
        own = [("Set-Cookie", "a=b"), ("cache-control", "max-age=9"), ("Vary", "Cookie")]
        session = [("Set-Cookie", "s=t"), ("Cache-Control", "no-store"), ("Vary", "Cookie")]
        self.assertEqual(
            with_session(own, session),
            [own[0], ("Vary", "Cookie"), ("Set-Cookie", "s=t"), ("Cache-Control", "no-store")],
        )
        self.assertEqual(with_session(own, []), own)

    def test_a_header_cannot_begin_another(self):
        line_break = ("X", "a\r\nSet-Cookie: b")
        for name, value in [line_break, ("X", "\0"), ("X", "€"), ("X Y", ""), ("", "")]:
            with self.assertRaises(ValueError):
                checked([(name, value)])
        self.assertEqual(checked([("Content-Length", "5"), ("X", "é")]), [("X", "é")])

    def test_a_response_has_the_type_of_a_page(self):
        self.assertEqual(Response("é").body, "é".encode())
        self.assertEqual(Response("", 204).headers, [])
        self.assertEqual(
            Response("a", headers={"content-type": "text/css"}).headers,
            [("content-type", "text/css")],
        )
