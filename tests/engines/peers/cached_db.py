"""Django's session engine cached_db, with PostgreSQL and a cache in Redis, as a peer in the
benchmark.

The arguments are the URLs of the two servers. The commands on the standard input and their results
are those of src/main.rs.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.management import call_command

# The most threads, each with a connection of its own: the connections of the other peers.
THREADS = 8
# The key of the session with the counter, which no other command uses.
COUNTER = "counter0"

database = urlsplit(sys.argv[1])
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": database.hostname,
            "PORT": database.port,
            "USER": database.username,
            "PASSWORD": database.password,
            "NAME": database.path.removeprefix("/"),
        }
    },
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": sys.argv[2],
        }
    },
    INSTALLED_APPS=["django.contrib.sessions"],
    SECRET_KEY="the key of a benchmark",
    SESSION_COOKIE_AGE=24 * 60 * 60,
    USE_TZ=True,
)
django.setup()
call_command("migrate", verbosity=0)

from django.contrib.sessions.backends.cached_db import SessionStore  # noqa: E402


def write(key, must_create):
    """Writes a session of about 700 bytes without loading it first."""
    session = SessionStore(key)
    session._session_cache = {"data": "x" * 600}
    session.save(must_create=must_create)


def load(key):
    if "data" not in SessionStore(key):
        raise LookupError("a session is gone")


OPERATIONS = {
    "create": lambda key: write(key, must_create=True),
    "load": load,
    "save": lambda key: write(key, must_create=False),
    "delete": lambda key: SessionStore(key).delete(),
}


def perform(operation, threads, numbers):
    """Lets these threads share the sessions. Returns the nanoseconds that they take."""
    keys = [f"session{number}" for number in numbers]
    start = perf_counter_ns()
    list(threads.map(OPERATIONS[operation], keys))
    return perf_counter_ns() - start


def increment(threads, tasks, rounds):
    """Increments the counter of one session from several threads at once, as requests of one
    visitor do that arrive together. Returns the counter."""
    session = SessionStore(COUNTER)
    session._session_cache = {"counter": 0}
    session.save(must_create=True)

    def work(_):
        for _ in range(rounds):
            session = SessionStore(COUNTER)
            session["counter"] += 1
            session.save()

    list(threads.map(work, range(tasks)))
    counter = SessionStore(COUNTER)["counter"]
    SessionStore(COUNTER).delete()
    return counter


pools = {}
for line in sys.stdin:
    operation, tasks, *numbers = line.split()
    count = min(int(tasks), THREADS)
    if count not in pools:
        pools[count] = ThreadPoolExecutor(count)
    threads = pools[count]
    if operation == "increment":
        print(increment(threads, int(tasks), int(numbers[0])), flush=True)
    else:
        print(perform(operation, threads, numbers), flush=True)
