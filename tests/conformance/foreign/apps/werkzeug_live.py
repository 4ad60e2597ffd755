"""One of the applications of Werkzeug's live-server tests, with the path that they ask to see whether it is there."""

import importlib
import os

live = importlib.import_module(os.environ["LIVE_APP"])


def application(environ, start_response):
    if environ["PATH_INFO"] == "/ensure":
        start_response("200 OK", [("Content-Length", "0")])
        return []
    return live.app(environ, start_response)
