"""Session3's interactive demo, with the server of Quixote:

    python demo.py MANAGER DATABASE [--port PORT]
"""

import argparse
import sys

from quixote import get_session, get_session_manager, redirect
from quixote.directory import Directory
from quixote.publish import Publisher
from quixote.server.simple_server import HTTPRequestHandler, SockInheritHTTPServer
from quixote.session import Session

# An application that uses Session3 changes these two lines.
from session_manager import SessionManager
from store import SqliteStore


class DemoSession(Session):
    def __init__(self, id):
        super().__init__(id)
        self.counter = 0
        self.keep = False

    def has_info(self):
        return self.keep or super().has_info()


class Root(Directory):
    _q_exports = ["", "keep", "increment", "incrementfail", "logout", "logoutfail"]

    def _q_index(self):
        session = get_session()
        links = "".join(
            f'<p><a href="{page}">{page}</a></p>\n' for page in ["./", *self._q_exports[1:]]
        )
        return (
            "<title>Session3</title>\n"
            f"<p>Your session ID is {session.id}.</p>\n"
            f"<p>Counter is at {session.counter}.</p>\n{links}"
        )

    def keep(self):
        get_session().keep = True
        return redirect("/")

    def increment(self):
        get_session().counter += 1
        return redirect("/")

    def incrementfail(self):
        get_session().counter += 1
        raise RuntimeError("on purpose")

    def logout(self):
        get_session_manager().expire_session()
        return redirect("/")

    def logoutfail(self):
        get_session_manager().expire_session()
        raise RuntimeError("on purpose")


def main():
    parser = argparse.ArgumentParser(description="Serve Session3's interactive demo with Quixote")
    parser.add_argument("manager", help="the file of the session manager component")
    parser.add_argument("database", help="the SQLite database of the sessions; created if missing")
    port_help = "listen on this port, 8080 by default; 0 chooses a free port"
    parser.add_argument("--port", type=int, default=8080, help=port_help)
    arguments = parser.parse_args()
    store = SqliteStore(arguments.database)
    session_manager = SessionManager(arguments.manager, store, DemoSession)
    Publisher(Root(), session_manager=session_manager)
    with SockInheritHTTPServer(("127.0.0.1", arguments.port), HTTPRequestHandler) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        # Quixote redirects sys.stdout to its error log.
        print(f"Open {address} and press Ctrl-C to quit.", file=sys.__stdout__, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
