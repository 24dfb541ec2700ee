"""Session3's DirectorySessionStore, as a peer in the benchmark.

The argument is the directory. Each line of the input is an operation and the
numbers of the sessions to do it with; each line of the output tells how many
nanoseconds that took.
"""

import hashlib
import sys
import time

from session3.Session import Session
from session3.store.DirectorySessionStore import DirectorySessionStore


class Visit(Session):
    """A session of about 700 bytes, without a request."""

    def __init__(self, number):
        self.id = hashlib.md5(number.encode()).hexdigest()
        self.user = None
        self._remote_address = "127.0.0.1"
        self._creation_time = self._access_time = time.time()
        self._form_tokens = []
        self.data = "x" * 500


def load(session):
    if store.load_session(session.id) is None:
        sys.exit("a session is gone")


store = DirectorySessionStore(sys.argv[1], create=True)
operations = {
    "create": store.save_session,
    "load": load,
    "save": store.save_session,
    "delete": store.delete_session,
}
for line in sys.stdin:
    name, *numbers = line.split()
    operation = operations[name]
    sessions = [Visit(number) for number in numbers]
    start = time.perf_counter_ns()
    for session in sessions:
        operation(session)
    print(time.perf_counter_ns() - start, flush=True)
