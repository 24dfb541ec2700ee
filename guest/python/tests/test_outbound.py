"""Requests to other servers."""

import unittest

from session3_guest import FetchError, FetchResponse, fetch, handler
from session3_guest.outbound import _request
from session3_guest.testing import Client


def request(url, method="GET", headers=(), body=b""):
    return _request(url, method, headers, body, None, 10)


class Outbound(unittest.TestCase):
    def test_a_url_has_its_parts(self):
        parts = request("https://example.com:444/a%20b?c=d#e")
        self.assertEqual((parts.is_secure, parts.host), (True, "example.com:444"))
        self.assertEqual(parts.target, "/a%20b?c=d")
        self.assertEqual(request("http://[::1]").target, "/")
        for url in ["", "/path", "ftp://example.com", "http://", "http://ann:secret@host/"]:
            with self.assertRaises(ValueError, msg=url):
                request(url)

    def test_a_body_has_its_length_and_headers_are_checked(self):
        parts = request("http://a/", "POST", {"X-A": "1", "Host": "b", "Content-Length": "9"}, "é")
        self.assertEqual(parts.headers, [("X-A", "1"), ("Content-Length", "2")])
        self.assertEqual(parts.body, "é".encode())
        with self.assertRaises(ValueError):
            request("http://a/", headers=[("X-A", "1\r\nX-B: 2")])

    def test_a_response_has_its_text_and_its_json(self):
        response = FetchResponse(200, [("X-A", "1"), ("x-a", "2")], b'["\xc3\xa9"]')
        self.assertEqual(response.headers.getlist("X-a"), ["1", "2"])
        self.assertEqual((response.text, response.json()), ('["é"]', ["é"]))
        self.assertEqual(FetchResponse(200, [], b"\xff").text, "\ufffd")
        with self.assertRaises(ValueError):
            FetchResponse(200, [], b"\xff").json()

    def test_without_a_component_no_server_is_called(self):
        with self.assertRaises(FetchError) as caught:
            fetch("https://example.com/")
        self.assertTrue(caught.exception.is_denied)
        self.assertEqual(caught.exception.status, 502)

        @handler
        def app(request, session):
            return fetch("https://example.com/").text

        page = Client(IncomingHandler).get("/")  # noqa: F821
        self.assertEqual(page.status, 502)
        self.assertNotIn("example.com", page.text)
