"""Requests to other servers, by an ordinary interpreter."""

import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer

from session3_guest import FetchError, fetch


class Other(BaseHTTPRequestHandler):
    def do_PUT(self):
        length = int(self.headers["Content-Length"])
        answer = self.headers["X-Sent"].encode() + b" " + self.rfile.read(length) + b"\xff"
        self.send_response(404 if self.path == "/none?x=1" else 302)
        self.send_header("Location", "/elsewhere")
        self.send_header("X-Path", self.path)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Fetch(unittest.TestCase):
    def setUp(self):
        self.server = HTTPServer(("127.0.0.1", 0), Other)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever).start()

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()

    def test_every_response_is_returned(self):
        for path, status in [("/none?x=1", 404), ("/moved", 302)]:
            answer = fetch(self.url + path, "PUT", {"X-Sent": "yes"}, b"body")
            self.assertEqual((answer.status, answer.headers["x-PATH"]), (status, path))
            self.assertEqual((answer.body, answer.text), (b"yes body\xff", "yes body\ufffd"))

    def test_a_large_response_is_an_error(self):
        body = b"x" * 100
        sent = (self.url, "PUT", {"X-Sent": "yes"}, body)
        size = len(fetch(*sent).body)
        self.assertEqual(len(fetch(*sent, max_body=size).body), size)
        for path in ["/none?x=1", "/moved"]:
            with self.assertRaisesRegex(FetchError, "HttpResponseBodySize") as caught:
                fetch(self.url + path, *sent[1:], max_body=size - 1)
            self.assertFalse(caught.exception.is_denied)

    def test_what_cannot_be_sent_is_an_error(self):
        for url in ["ftp://127.0.0.1/", "/path", "http:///path", ""]:
            with self.assertRaises(ValueError):
                fetch(url)
        with self.assertRaises(FetchError):
            fetch("http://127.0.0.1:1/")
