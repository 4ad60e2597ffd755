"""The application of the process stories: one path for each thing an application can do to its server.

Every answer carries X-Worker-Pid. Query values: `us`, `seconds`, `kib`, `touch` (a file made before the work begins,
so that a story knows that the call runs).
"""
import hashlib
import json
import os
import signal
import sys
import time
from urllib.parse import parse_qs

leaked = []


def hello(environ, query):
    return b"Hello, stint\n"


def pid(environ, query):
    return str(os.getpid()).encode()


def work(environ, query):
    time.sleep(int(query.get("us", "1000")) / 1e6)
    return b"worked\n"


def slow(environ, query):
    if "touch" in query:
        with open(query["touch"], "w") as file:
            file.write(str(os.getpid()))
    time.sleep(float(query.get("seconds", "1")))
    return b"slow but complete\n"


def leak(environ, query):
    leaked.append(b"x" * (int(query.get("kib", "16")) * 1024))
    return str(len(leaked)).encode()


def echo(environ, query):
    return environ["wsgi.input"].read()


def digest(environ, query):
    total = hashlib.sha256()
    size = 0
    while True:
        piece = environ["wsgi.input"].read(65536)
        if not piece:
            break
        total.update(piece)
        size += len(piece)
    return f"{size} {environ.get('CONTENT_LENGTH', '-')} {total.hexdigest()}".encode()


def unread(environ, query):
    return b"body left unread\n"


def show_environ(environ, query):
    return json.dumps({key: value for key, value in environ.items() if isinstance(value, str)}).encode()


def raise_error(environ, query):
    raise ZeroDivisionError("a story's own error")


def crash(environ, query):
    os.kill(os.getpid(), signal.SIGKILL)


def leave(environ, query):
    sys.exit(0)


pages = {
    "/": hello,
    "/pid": pid,
    "/work": work,
    "/slow": slow,
    "/leak": leak,
    "/echo": echo,
    "/digest": digest,
    "/unread": unread,
    "/environ": show_environ,
    "/raise": raise_error,
    "/crash": crash,
    "/exit": leave,
}


def stream(pieces):
    for number in range(pieces):
        yield b"piece %d\n" % number


def flood():
    while True:
        yield b"x" * 1048576


def stepwise(until):
    yield b"first\n"
    while not os.path.exists(until):
        time.sleep(0.005)
    yield b"second\n"


def fail_midway():
    yield b"the beginning\n"
    raise RuntimeError("failed after the first byte")


def application(environ, start_response):
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    path = environ["PATH_INFO"]
    head = [("Content-Type", "text/plain"), ("X-Worker-Pid", str(os.getpid()))]
    if path == "/stream":
        start_response("200 OK", head)
        return stream(int(query.get("pieces", "3")))
    if path == "/flood":
        start_response("200 OK", head)
        return flood()
    if path == "/stepwise":
        start_response("200 OK", head)
        return stepwise(query["until"])
    if path == "/fail-midway":
        start_response("200 OK", head)
        return fail_midway()
    page = pages.get(path)
    if page is None:
        start_response("404 Not Found", head)
        return [b"no such page\n"]
    body = page(environ, query)
    if page is pid:  # the others leave it to the server (PEP 3333, a list of one item)
        head.append(("Content-Length", str(len(body))))
    start_response("200 OK", head)
    return [body]
