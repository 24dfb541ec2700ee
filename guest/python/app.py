"""The demo application in Python. This module exports the handler of requests."""

import pages
import web
from wit_world import exports


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out):
        web.send(response_out, pages.answer(web.read(request)))
