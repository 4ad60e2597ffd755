"""Answers with what it was called with: the request's part of environ, key by key, an empty line, and the body.

Each call adds a byte to the file CALLS names, so that a test knows also of calls that nobody got an answer of.
"""
import os
import warnings
from wsgiref.validate import validator

warnings.simplefilter("error")
warnings.filterwarnings("ignore", "Unknown REQUEST_METHOD")  # extension methods are methods (RFC 9110 §9.1)

calls = os.open(os.environ["CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

# What is about the server or the connection, not about the request.
not_of_the_request = {
    "GATEWAY_INTERFACE", "REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "SERVER_SOFTWARE",
    "stint.request_id", "stint.version",
}  # fmt: skip


def visible(text):
    shown = ("\\\\" if c == "\\" else c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in text)
    return "".join(shown)


def application(environ, start_response):
    os.write(calls, b".")
    if environ["PATH_INFO"] == "/good":
        answer = b"good\n"
    else:
        seen = {k: v for k, v in environ.items() if isinstance(v, str) and k not in not_of_the_request}
        lines = "".join(f"{visible(key)}: [{visible(value)}]\n" for key, value in sorted(seen.items()))
        answer = lines.encode("ascii") + b"\n" + environ["wsgi.input"].read(-1)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


validated = validator(application)
