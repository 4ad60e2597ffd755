"""The application of the process stories: one path for each thing an application can do to its server.

Every answer carries X-Worker-Pid. Query values: `us`, `seconds`, `kib`, `touch` (a file made before the work begins,
so that a story knows that the call runs).
"""
import ctypes
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
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


def until(environ, query):
    """Lasts until the file `file` is there."""
    with open(query["touch"], "w") as file:
        file.write(str(os.getpid()))
    while not os.path.exists(query["file"]):
        time.sleep(0.005)
    return b"it is there\n"


def interruptible(environ, query):
    """Computes until an exception ends it, whose name it writes into the file `file`."""
    if "touch" in query:
        with open(query["touch"], "w"):
            pass
    try:
        while True:
            sum(range(100))
    finally:
        with open(query["file"], "w") as file:
            file.write(sys.exc_info()[0].__name__)


def slow_once(environ, query):
    """Slow for the worker that comes first: the next one finds the file `started`."""
    if not os.path.exists(query["started"]):
        slow(environ, {"seconds": query["seconds"], "touch": query["started"]})
    return b"done\n"


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


def variables(environ, query):
    return json.dumps(dict(os.environ)).encode()


def orphan(environ, query):
    """Leaves `n` processes behind whose parent has gone: each ends when the file `until` is there."""
    wait = "while [ ! -e '%s' ]; do sleep 0.01; done" % query["until"]
    for _ in range(int(query["n"])):
        subprocess.run(["/bin/sh", "-c", "(%s) & exit 0" % wait], check=True)
    return b"left behind\n"


def raise_error(environ, query):
    raise ZeroDivisionError("a story's own error")


def crash(environ, query):
    os.kill(os.getpid(), signal.SIGKILL)


def leave(environ, query):
    sys.exit(0)


def page(environ, query):
    """`kib` of text that follows from `seed`, after `us` of work; keeps `leak` KiB for ever."""
    if "leak" in query:
        leak(environ, {"kib": query["leak"]})
    work(environ, {"us": query.get("us", "0")})
    size = int(query.get("kib", "1")) * 1024
    line = b"%s " % query.get("seed", "0").encode()
    return (line * (size // len(line) + 1))[:size]


def fork(environ, query):
    """A child of the application's own, which holds copies of all descriptors that are open now."""
    child = os.fork()
    if child == 0:
        time.sleep(300)
        os._exit(0)
    return str(child).encode()


def retried(environ, query):
    environ["wsgi.input"].read()
    return json.dumps({"pid": os.getpid(), "retried": environ.get("stint.retried")}).encode()


def end_by(how):
    if how == "segv":
        ctypes.string_at(0)
    if how == "exit":
        os._exit(3)
    if how == "abort":
        os.abort()
    os.kill(os.getpid(), signal.SIGKILL)


def die(environ, query):
    """Ends the worker by `how`, as long as the file `deaths` has fewer than `times` lines; adds one each time."""
    environ["wsgi.input"].read()
    with open(query["deaths"], "a+") as file:
        file.seek(0)
        if len(file.readlines()) < int(query.get("times", "1")):
            file.write(f"{os.getpid()}\n")
            file.flush()
            end_by(query["how"])
    return retried(environ, query)


def hog(environ, query):
    """Fills `mib` of memory in steps and goes on as if there were more to do."""
    environ["wsgi.input"].read()
    held = []
    for _ in range(int(query["mib"])):
        held.append(os.urandom(4096) * 256)
        time.sleep(0.002)
    time.sleep(float(query.get("seconds", "0")))
    return b"%d MiB\n" % len(held)


def open_files(environ, query):
    leaked.extend(os.open("/dev/null", os.O_RDONLY) for _ in range(int(query["n"])))
    return b"opened\n"


def start_threads(environ, query):
    for _ in range(int(query["n"])):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    return b"started\n"


def never_end(environ, query):
    """Leaves a thread that threading's shutdown waits for in vain."""
    threading.Thread(target=threading.Event().wait).start()
    return b"started\n"


def stuck(environ, query):
    """Hangs for `seconds` in C code that keeps the GIL, so that no thread of Python's can run; signals do not end it."""
    c = ctypes.PyDLL(None)
    timer = c.timerfd_create(time.CLOCK_MONOTONIC, 0)
    seconds = (ctypes.c_long * 4)(0, 0, int(query["seconds"]), 0)  # struct itimerspec: interval, value
    c.timerfd_settime(timer, 0, seconds, None)
    c.read(timer, ctypes.create_string_buffer(8), 8)  # the kernel restarts it (SA_RESTART, signal(7))
    os.close(timer)
    return b"came back\n"


def process(environ, query):
    """Who and what this process is, as it sees itself."""
    mask = os.umask(0)
    os.umask(mask)
    try:
        os.setuid(0)
        becomes_root = True
    except PermissionError:
        becomes_root = False
    limits = {name: resource.getrlimit(getattr(resource, name))
              for name in ("RLIMIT_AS", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_CORE")}
    return json.dumps({
        "uids": os.getresuid(), "gids": os.getresgid(), "groups": sorted(os.getgroups()), "becomes_root": becomes_root,
        "umask": mask, "nice": os.getpriority(os.PRIO_PROCESS, 0), "limits": limits,
        "environment": {name: os.environ.get(name) for name in ("HOME", "USER", "LOGNAME", "SHELL")},
    }).encode()


def read(environ, query):
    try:
        with open(query["path"], "rb") as file:
            return file.read()
    except OSError as error:
        return error.strerror.encode()


pages = {
    "/": hello,
    "/pid": pid,
    "/work": work,
    "/slow": slow,
    "/until": until,
    "/slow-once": slow_once,
    "/leak": leak,
    "/echo": echo,
    "/digest": digest,
    "/unread": unread,
    "/environ": show_environ,
    "/variables": variables,
    "/orphan": orphan,
    "/raise": raise_error,
    "/crash": crash,
    "/exit": leave,
    "/fork": fork,
    "/page": page,
    "/retried": retried,
    "/die": die,
    "/hog": hog,
    "/open": open_files,
    "/threads": start_threads,
    "/never-end": never_end,
    "/stuck": stuck,
    "/interruptible": interruptible,
    "/process": process,
    "/read": read,
}


def stream(pieces):
    for number in range(pieces):
        yield b"piece %d\n" % number


def flood():
    try:
        while True:
            yield b"x" * 1048576
    finally:
        print("flood closed")


def stepwise(until):
    yield b"first\n"
    while not os.path.exists(until):
        time.sleep(0.005)
    yield b"second\n"


def nothing_yet(running, closed):
    """Never has anything to say; `closed` is made when it is closed."""
    try:
        with open(running, "w"):
            pass
        while True:
            yield b""
            time.sleep(0.01)
    finally:
        with open(closed, "w"):
            pass


def trickle(until):
    """A part every fifth of a second, until the file `until` is there."""
    while not os.path.exists(until):
        yield b"on\n"
        time.sleep(0.2)
    yield b"complete\n"


def acknowledged(file):
    """Pieces of many sizes, each after the first only when `file` has a byte for each of those before."""
    open(file, "w").close()
    for number, size in enumerate([1, 100, 4096, 16384, 16385, 100_000, 1_000_000, 5]):
        while os.path.getsize(file) < number:
            time.sleep(0.001)
        yield b"p" * size


def big(mib, touch, asked):
    """A byte of its own for each MiB, so that a lost or doubled one shows. The file `asked` gets a byte for each."""
    for number in range(mib):
        if asked:
            with open(asked, "ab") as file:
                file.write(b".")
        yield bytes([number % 251]) * 1048576
        if touch and number == 0:
            open(touch, "w").close()


def half(touch):
    yield b"the first half of it\n"
    open(touch, "w").close()
    time.sleep(300)


def fail_midway():
    yield b"the beginning\n"
    raise RuntimeError("failed after the first byte")


class ShortOfMemory:
    """An answer for whose beginning there is no memory."""

    def __init__(self):
        self.before = resource.getrlimit(resource.RLIMIT_AS)

    def __iter__(self):
        return self

    def __next__(self):
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (4 << 20), self.before[1]))
        return b"x"

    def close(self):
        resource.setrlimit(resource.RLIMIT_AS, self.before)


def application(environ, start_response):
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    path = environ["PATH_INFO"]
    head = [("Content-Type", "text/plain"), ("X-Worker-Pid", str(os.getpid()))]
    if path == "/stream":
        start_response("200 OK", head)
        return stream(int(query.get("pieces", "3")))
    if path == "/short-of-memory":
        start_response("200 OK", head + [("X-Long", "a" * 60_000_000)])
        return ShortOfMemory()
    if path == "/flood":
        start_response("200 OK", head)
        return flood()
    if path == "/stepwise":
        start_response("200 OK", head)
        return stepwise(query["until"])
    if path == "/nothing-yet":
        start_response("200 OK", head)
        return nothing_yet(query["running"], query["closed"])
    if path == "/trickle":
        start_response("200 OK", head)
        return trickle(query["until"])
    if path == "/acknowledged":
        start_response("200 OK", head)
        return acknowledged(query["file"])
    if path == "/big":
        mib = int(query["mib"])
        start_response("200 OK", head + [("Content-Length", str(mib * 1048576))])
        pieces = big(mib, query.get("touch"), query.get("asked"))
        return [b"".join(pieces)] if "whole" in query else pieces
    if path == "/half":
        start_response("200 OK", head + [("Content-Length", "1000")])
        return half(query["touch"])
    if path == "/fail-midway":
        start_response("200 OK", head)
        return fail_midway()
    if path == "/send-file":
        fields = json.loads(query.get("fields", "{}"))
        start_response(query.get("status", "200 OK"), head[1:] + list(fields.items()) + [("Content-Length", "7")])
        return iter([b"ignored", b"as well"]) if "iterator" in query else [b"ignored"]
    answer = pages.get(path)
    if answer is None:
        start_response("404 Not Found", head)
        return [b"no such page\n"]
    body = answer(environ, query)
    if answer is pid:  # the others leave it to the server (PEP 3333, a list of one item)
        head.append(("Content-Length", str(len(body))))
    start_response("200 OK", head)
    return [body]
