"""The counter page with Flask and Flask-Session, as a peer in the benchmark.

gunicorn serves `application`. The environment variable SESSIONS names a directory or a server of
Redis.
"""

import os

from cachelib.file import FileSystemCache
from flask import Flask, redirect, session
from flask_session import Session
from redis import Redis

place = os.environ["SESSIONS"]
application = Flask(__name__)
if place.startswith("redis:"):
    application.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis.from_url(place))
else:
    cache = FileSystemCache(cache_dir=place, threshold=0)
    application.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
Session(application)


@application.get("/")
def show():
    return (
        "<title>Flask</title>\n"
        f"<p>Your session ID is {session.sid}.</p>\n"
        f"<p>Counter is at {session.get('counter', 0)}.</p>\n"
    )


@application.get("/keep")
def keep():
    session["counter"] = 0
    return redirect("/", 303)


@application.get("/increment")
def increment():
    session["counter"] = session.get("counter", 0) + 1
    return redirect("/", 303)
