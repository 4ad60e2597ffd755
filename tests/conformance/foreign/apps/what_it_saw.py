"""Answers every request with what WSGI said of it, as JSON. GET /stint-calls: how many others were answered so far."""

import json

calls = 0


def application(environ, start_response):
    global calls
    if environ["PATH_INFO"] == "/stint-calls":
        body = str(calls).encode()
    else:
        calls += 1
        seen = {key: value for key, value in environ.items() if isinstance(value, str)}
        body = json.dumps({"environ": seen, "body": environ["wsgi.input"].read().decode("latin-1")}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
