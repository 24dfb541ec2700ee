"""The counter page with Django and its sessions in files, as a peer in the benchmark.

gunicorn serves `application`. The environment variable SESSIONS names the directory.
"""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="not secret",
    SESSION_ENGINE="django.contrib.sessions.backends.file",
    SESSION_FILE_PATH=os.environ["SESSIONS"],
)


def show(request):
    counter = request.session.get("counter", 0)
    return HttpResponse(
        "<title>Django</title>\n"
        f"<p>Your session ID is {request.session.session_key}.</p>\n"
        f"<p>Counter is at {counter}.</p>\n"
    )


def keep(request):
    request.session["counter"] = 0
    return HttpResponseRedirect("/")


def increment(request):
    request.session["counter"] = request.session.get("counter", 0) + 1
    return HttpResponseRedirect("/")


urlpatterns = [path("", show), path("keep", keep), path("increment", increment)]
application = get_wsgi_application()
