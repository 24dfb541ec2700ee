"""Session3's counter page under Quixote's own simple server, as a peer in the
benchmark:

    python counter.py DIRECTORY [--port PORT]
"""

import argparse
import sys

from quixote import get_session, redirect
from quixote.directory import Directory
from quixote.publish import Publisher
from quixote.server.simple_server import HTTPRequestHandler, SockInheritHTTPServer
from session3.Session import Session
from session3.SessionManager import SessionManager
from session3.store.DirectorySessionStore import DirectorySessionStore


class CountingSession(Session):
    def __init__(self, id):
        super().__init__(id)
        self.counter = 0
        self.keep = False

    def has_info(self):
        return self.keep or super().has_info()


class Root(Directory):
    _q_exports = ["", "keep", "increment"]

    def _q_index(self):
        session = get_session()
        return (
            "<title>Session3</title>\n"
            f"<p>Your session ID is {session.id}.</p>\n"
            f"<p>Counter is at {session.counter}.</p>\n"
        )

    def keep(self):
        get_session().keep = True
        return redirect("/")

    def increment(self):
        get_session().counter += 1
        return redirect("/")


class Server(SockInheritHTTPServer):
    # With the default of 5, the kernel drops connections, and clients retry a second later.
    request_queue_size = 64


parser = argparse.ArgumentParser()
parser.add_argument("directory")
parser.add_argument("--port", type=int, default=8080)
arguments = parser.parse_args()
store = DirectorySessionStore(arguments.directory, create=True)
Publisher(Root(), session_manager=SessionManager(store, session_class=CountingSession))
with Server(("127.0.0.1", arguments.port), HTTPRequestHandler) as server:
    address = f"http://127.0.0.1:{server.server_port}/"
    # Quixote replaces sys.stdout with its error log.
    print(f"Open {address} and press Ctrl-C to quit.", file=sys.__stdout__, flush=True)
    server.serve_forever()
