"""What the clients of others ask for: each path is one thing that a client can be made to do."""

import hashlib
import json
import time
from urllib.parse import parse_qs


def application(environ, start_response):
    answer = PATHS.get(environ["PATH_INFO"], missing)
    query = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    return answer(environ, start_response, query)


def as_json(start_response, facts, status="200 OK"):
    body = json.dumps(facts).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def missing(environ, start_response, query):
    return as_json(start_response, {"missing": environ["PATH_INFO"]}, "404 Not Found")


def hello(environ, start_response, query):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, World!"]


def seen(environ, start_response, query):
    """Reads the body in pieces and tells of the request."""
    digest, size = hashlib.sha256(), 0
    while piece := environ["wsgi.input"].read(65536):
        digest.update(piece)
        size += len(piece)
    facts = {key: value for key, value in environ.items() if isinstance(value, (str, bool, int))}
    return as_json(start_response, {"environ": facts, "size": size, "sha256": digest.hexdigest()})


def echo(environ, start_response, query):
    """The body comes back, piece by piece, without a length."""
    start_response("200 OK", [("Content-Type", environ.get("CONTENT_TYPE", "application/octet-stream"))])
    return iter(lambda: environ["wsgi.input"].read(65536), b"")


def unread(environ, start_response, query):
    """Answers without a look at the body."""
    return hello(environ, start_response, query)


def noise(environ, start_response, query):
    """`size` bytes in pieces of 64 KiB, the same each time; with a length when `length` is given."""
    size = int(query["size"])
    headers = [("Content-Type", "application/octet-stream")]
    if "length" in query:
        headers.append(("Content-Length", str(size)))
    start_response("200 OK", headers)
    return pieces_of_noise(size)


def pieces_of_noise(size):
    piece = bytes(range(256)) * 256
    while size > 0:
        yield piece[:size]
        size -= len(piece)


def slowly(environ, start_response, query):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(int(query["lines"])):
        yield f"{number} {time.time()}\n".encode()
        time.sleep(float(query["pause"]))


def redirect(environ, start_response, query):
    """`left` redirects of the kind `status`, then /seen."""
    status, left = query["status"], int(query["left"])
    location = f"/redirect?status={status}&left={left - 1}" if left else "/seen"
    environ["wsgi.input"].read()
    start_response(f"{status} Elsewhere", [("Location", location), ("Content-Length", "0")])
    return []


def cookies(environ, start_response, query):
    headers = [("Content-Length", "0"), ("Set-Cookie", "one=1; Path=/"), ("Set-Cookie", "two=a b; Path=/; HttpOnly")]
    start_response("204 No Content" if "empty" in query else "200 OK", headers)
    return []


PATHS = {f"/{answer.__name__}": answer for answer in [hello, seen, echo, unread, noise, slowly, redirect, cookies]}
