"""One small application for each behaviour, by the first part of the path: those of tests/apps/wsgi_cases.py, which
tests/embed uses too, and those below, which need a client, files or another process to be seen.

Query values are separated by "&"; `until`, `file` and `go` name files by which a test and a call wait for each other.
"""
import faulthandler
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from urllib.parse import parse_qsl
from wsgiref.util import request_uri
from wsgiref.validate import validator

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "apps"))
import wsgi_cases

warnings.simplefilter("error")
warnings.filterwarnings("ignore", "Unknown REQUEST_METHOD")  # extension methods are methods (RFC 9110 §9.1)
main_thread_at_import = threading.main_thread() is threading.current_thread()

TEXT = [("Content-Type", "text/plain")]
cases = {}


def case(function):
    cases[function.__name__] = function
    return function


def query_of(environ):
    return dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.002)


def note(path, line):
    with open(path, "a") as file:
        file.write(line + "\n")


def answer(start_response, text, status="200 OK", headers=()):
    body = text if isinstance(text, bytes) else str(text).encode("utf-8", "backslashreplace")
    start_response(status, TEXT + list(headers))
    return [body]


# --- environ ------------------------------------------------------------------------------------------------------------


@case
def url(environ, start_response):
    """PEP 3333's way to rebuild the URL."""
    return answer(start_response, request_uri(environ))


@case
def raw_path(environ, start_response):
    return answer(start_response, environ["PATH_INFO"].encode("latin-1"))


@case
def errors_late(environ, start_response):
    """A thread writes to this request's stream when the file `until` is there: after the request."""
    errors, until = environ["wsgi.errors"], query_of(environ)["until"]

    def write():
        wait_for(until)
        errors.write("written late\n")

    threading.Thread(target=write).start()
    return answer(start_response, environ["stint.request_id"])


@case
def hints(environ, start_response):
    """Early hints twice, then the answer when the file `until` is there; what wrong calls raise is its body."""
    early_hints = environ["wsgi.early_hints"]
    early_hints([("Link", "</style.css>; rel=preload; as=style"), ("Link", "</two.js>; rel=preload")])
    early_hints([("Link", "</late.css>; rel=preload"), ("Connection", "close")])
    if "until" in query_of(environ):
        wait_for(query_of(environ)["until"])
    raised = []
    for wrong in ("text", (), [("Link", "a\r\nb: c")], [("Li nk", "a")], [("Link", 1)], [("Link", "\u20ac")], None):
        try:
            raised.append(early_hints(wrong))
        except (TypeError, ValueError) as error:
            raised.append(type(error).__name__)
    write = start_response("200 OK", list(TEXT))
    write(repr(raised).encode())
    try:
        early_hints([("Link", "</never.css>")])
    except RuntimeError:
        write(b" RuntimeError")
    return []


# --- wsgi.input ---------------------------------------------------------------------------------------------------------


@case
def input_greedy(environ, start_response):
    body = environ["wsgi.input"]
    return answer(start_response, repr([body.read(10**9), body.read(1), body.readline()]))


@case
def input_all(environ, start_response):
    return answer(start_response, repr([environ.get("CONTENT_LENGTH"), environ["wsgi.input"].read(1 << 20)]))


@case
def input_by_lines(environ, start_response):
    """What the validator lets through: one argument for read."""
    body = environ["wsgi.input"]
    got = [body.read(2), body.readline(), body.readline(2), body.readlines(1), next(iter(body)), body.readlines()]
    got += [body.read(5), body.readline(), body.readlines()]
    return answer(start_response, repr(got))


@case
def unread(environ, start_response):
    return answer(start_response, "left unread")


@case
def count_calls(environ, start_response):
    note(query_of(environ)["file"], "called")
    return answer(start_response, environ["wsgi.input"].read(-1))


# --- start_response, write, iteration -----------------------------------------------------------------------------------


@case
def start_with_status(environ, start_response):
    """What the call raises is the answer. The query's values are hexadecimal: not all can stand in a query."""
    try:
        start_response(bytes.fromhex(query_of(environ)["status"]).decode(), list(TEXT))
    except (TypeError, ValueError) as error:
        return answer(start_response, f"{type(error).__name__}: {error}", "500 Told")
    return [b"taken"]


@case
def start_with_header(environ, start_response):
    query = query_of(environ)
    try:
        start_response("200 OK", TEXT + [tuple(bytes.fromhex(query[part]).decode() for part in ("name", "value"))])
    except (TypeError, ValueError) as error:
        return answer(start_response, f"{type(error).__name__}: {error}", "500 Told")
    return [b"taken"]


@case
def start_by_position(environ, start_response):
    if environ["QUERY_STRING"] == "three":
        start_response("200 OK", TEXT, None)
    else:
        start_response("200 OK", TEXT)
    return [b"ok"]


@case
def keeps_and_changes_headers(environ, start_response):
    """The list is the server's from the call on; what the application does to it later changes nothing."""
    headers = TEXT + [("X-One", "1")]
    start_response("200 OK", headers)
    del headers[:]
    headers.append(("X-Two", "2"))
    return [b"ok"]


@case
def write_then_wait(environ, start_response):
    write = start_response("200 OK", list(TEXT))
    write(b"written\n")
    wait_for(query_of(environ)["until"])
    return [b"returned\n"]


@case
def head_waits(environ, start_response):
    """Nothing but empty items until the file is there; then another head takes the first one's place."""
    start_response("200 OK", TEXT + [("X-First", "1")])
    yield b""
    yield b""
    note(query_of(environ)["file"], "begun")
    wait_for(query_of(environ)["until"])
    try:
        raise KeyError("replaced")
    except KeyError:
        start_response("500 Replaced", TEXT + [("X-Second", "2")], sys.exc_info())
    yield b"error page"


@case
def steps(environ, start_response):
    """Item k+1 is made when the file `go`k is there."""
    query = query_of(environ)
    start_response("200 OK", list(TEXT))
    for k in range(4):
        yield b"item %d\n" % k
        wait_for(query["go"] + str(k))


@case
def flood(environ, start_response):
    """`mib` items of 1 MiB; the file `file` has a byte for each that was asked for."""
    query = query_of(environ)
    start_response("200 OK", list(TEXT))

    def items():
        with open(query["file"], "ab", buffering=0) as asked:
            for number in range(int(query["mib"])):
                asked.write(b".")
                yield bytes([number % 251]) * 1048576

    return items()


class Closing:
    """An iterable that notes in `file` when it is closed and when its iterator is."""

    def __init__(self, file, items):
        self.file, self.items = file, items

    def __iter__(self):
        return ClosingIterator(self)

    def close(self):
        note(self.file, "closed")


class ClosingIterator:
    def __init__(self, parent):
        self.parent, self.items = parent, iter(parent.items)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.items)

    def close(self):
        note(self.parent.file, "the iterator was closed")


@case
def closing(environ, start_response):
    """?file=…&kind=…: an answer that ends in the way `kind` names."""
    query = query_of(environ)
    kind, file = query["kind"], query["file"]

    def fails():
        yield b"begun"
        raise ZeroDivisionError("in the middle")

    def waits():
        yield b"one "
        note(file + ".begun", "begun")
        wait_for(query["until"])
        yield b"two"

    def endless():
        while True:
            yield b"x" * 1048576

    items = {
        "whole": lambda: [b"one", b"two"],
        "no_start": lambda: [b"one"],
        "empty": lambda: [],
        "str": lambda: ["text"],
        "fails": fails,
        "waits": waits,
        "endless": endless,
        "short": lambda: [b"one"],
        "long": lambda: [b"one", b"two", b"three", b"four"],
    }[kind]()
    headers = [("Content-Length", "6")] if kind in ("short", "long") else []
    if "status" in query:
        start_response(query["status"], headers)
    elif kind != "no_start":
        start_response("200 OK", TEXT + headers)
    return Closing(file, items)


@case
def raises_in_close(environ, start_response):
    start_response("200 OK", list(TEXT))

    class Raising(list):
        def __iter__(self):
            return iter([b"whole"])

        def close(self):
            raise ZeroDivisionError("in close")

    return Raising()


@case
def with_own_length(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", environ["QUERY_STRING"])])
    return [b"123456"]


@case
def written_alone(environ, start_response):
    start_response("200 OK", list(TEXT))(b"written")
    return []


@case
def not_bytes(environ, start_response):
    start_response("200 OK", list(TEXT))
    item = {"str": "text", "bytearray": bytearray(b"b"), "memoryview": memoryview(b"m"), "int": 1, "none": None}
    return iter([item[environ["QUERY_STRING"]]])


@case
def with_status(environ, start_response):
    """?STATUS[,length][,body]: with Content-Length 6 and with six bytes of body."""
    status, *options = environ["QUERY_STRING"].split(",")
    headers = [] if status in ("204", "304") else list(TEXT)
    if "length" in options:
        headers.append(("Content-Length", "6"))
    start_response(status + " Named", headers)
    return [b"123456"] if "body" in options else []


@case
def stream(environ, start_response):
    start_response("200 OK", list(TEXT))
    return (item for item in (b"one ", b"", b"two"))


@case
def hop_by_hop(environ, start_response):
    names = ("Connection", "Keep-Alive", "Proxy-Authenticate", "TE", "Trailers", "Transfer-Encoding", "Upgrade")
    return answer(start_response, "ok", headers=[(name, "x") for name in names] + [("X-Kept", "y")])


@case
def own_fields(environ, start_response):
    repeats = [("Set-Cookie", "b=2"), ("X-Again", "1"), ("Set-Cookie", "a=1"), ("x-again", "2"), ("Set-Cookie", "b=2")]
    own = [("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "mine")] if environ["QUERY_STRING"] == "own" else []
    return answer(start_response, "ok", headers=repeats + own)


@case
def fails_after_first_byte(environ, start_response):
    length = [("Content-Length", "100")] if environ["QUERY_STRING"] == "length" else []
    start_response("200 OK", TEXT + length)
    yield b"the beginning"
    raise ZeroDivisionError("after the first byte")


@case
def class_application(environ, start_response):
    return wsgi_cases.ClassApplication(environ, start_response)


mounted = wsgi_cases.environ_as_json
class_itself = wsgi_cases.ClassApplication
an_object = wsgi_cases.CallableObject.Inner()
a_partial = wsgi_cases.partial
of_c = wsgi_cases.hello.__call__  # a method-wrapper, which is no Python function


# --- file_wrapper -------------------------------------------------------------------------------------------------------


@case
def file_of_the_disk(environ, start_response):
    file = open(query_of(environ)["file"], "rb")
    start_response("200 OK", list(TEXT))
    return environ["wsgi.file_wrapper"](file)


@case
def file_from_pipe(environ, start_response):
    read_end, write_end = os.pipe()
    os.write(write_end, b"through a pipe")
    os.close(write_end)
    start_response("200 OK", list(TEXT))
    return environ["wsgi.file_wrapper"](os.fdopen(read_end, "rb"), 4)


@case
def file_closing(environ, start_response):
    """Notes each close of the file; the descriptor's number goes to somebody else at once."""
    path = query_of(environ)["file"]

    class Noting(io.BytesIO if environ["PATH_INFO"].endswith("/memory") else io.FileIO):
        def close(self):
            if not self.closed:
                note(path + ".closed", "closed")
            super().close()

    file = Noting(b"in memory") if Noting.__base__ is io.BytesIO else Noting(path)
    start_response("200 OK", list(TEXT))
    return environ["wsgi.file_wrapper"](file)


# --- processes, threads, lifecycle --------------------------------------------------------------------------------------


@case
def import_of_the_module(environ, start_response):
    main = sys.modules["__main__"]
    facts = [len(wsgi_cases.imports), main_thread_at_import, sys.argv, sys.path[0], os.getcwd()]
    facts += [getattr(main, "__file__", None), [n for n in vars(main) if not n.startswith("__")]]
    return answer(start_response, repr(facts))


@case
def takes_signals(environ, start_response):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, lambda *_: None)
    return answer(start_response, os.getpid())


LIST_DESCRIPTORS = """
import os
folder = "/proc/self/fd/"
print([os.readlink(folder + fd) for fd in os.listdir(folder) if int(fd) > 2 and os.path.exists(folder + fd)])
"""


@case
def descriptors_of_a_child(environ, start_response):
    """What a program that the application starts finds open, beyond the three that it is given."""
    command = [sys.executable, "-c", LIST_DESCRIPTORS]
    return answer(start_response, subprocess.run(command, capture_output=True, check=True, close_fds=False).stdout)


def listening_sockets():
    tables = [open("/proc/net/" + name).readlines()[1:] for name in ("tcp", "tcp6")]
    listening = {line.split()[9] for table in tables for line in table if line.split()[3] == "0A"}
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink("/proc/self/fd/" + fd))
        except FileNotFoundError:
            pass  # the listing's own
    return sorted(link for link in links if link.startswith("socket:") and link[8:-1] in listening)


def send_listening_sockets(connection):
    connection.send(listening_sockets())
    connection.close()


@case
def multiprocessing_works(environ, start_response):
    """A child by fork sends back which of the listening sockets it has; beside them the worker's own."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=send_listening_sockets, args=(theirs,))
    child.start()
    theirs.close()
    found = ours.recv()
    child.join()
    return answer(start_response, repr((found, child.exitcode, len(listening_sockets()))))


@case
def never_ending_thread(environ, start_response):
    threading.Thread(target=threading.Event().wait).start()
    return answer(start_response, os.getpid())


@case
def prints(environ, start_response):
    print("printed by the application")
    print("printed as an error", file=sys.stderr)
    sys.stdout.write("without a line's end")
    return answer(start_response, "only this")


@case
def errors_of_closed_stderr(environ, start_response):
    """Standard output and standard error lead to a pipe that nobody reads."""
    read_end, write_end = os.pipe()
    kept = {file: os.dup(file) for file in (1, 2)}
    for file in kept:
        os.dup2(write_end, file)
    os.close(read_end)
    os.close(write_end)
    try:
        environ["wsgi.errors"].write("nobody hears this\n")
        environ["wsgi.errors"].flush()
        print("nor this", file=sys.stderr)
        print("nor this", flush=True)
        sys.stdout.buffer.write(b"nor this\n")
        sys.stderr.writelines(["nor", "this\n"])
    finally:
        for file, copy in kept.items():
            os.dup2(copy, file)
            os.close(copy)
    environ["wsgi.errors"].write("and this is heard again\n")
    print("and so is this", file=sys.stderr)
    print("and that, too")
    return answer(start_response, "no error")


@case
def standard_streams(environ, start_response):
    """What programs ask of them."""
    facts = []
    for stream, file in ((sys.stdout, 1), (sys.stderr, 2)):
        stream.reconfigure(errors="backslashreplace")
        facts.append((type(stream).__name__, stream.fileno(), stream.buffer.fileno(), stream.isatty(), stream.name,
                      stream.mode, "x".encode(stream.encoding), stream.errors, stream.write_through,
                      stream.write("\u20ac\n"), isinstance(stream.buffer, io.FileIO)))
    return answer(start_response, repr((sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__, *facts)))


@case
def ticks(environ, start_response):
    """A thread adds a byte to the file `ticks` every few milliseconds while the answer waits for its reader."""
    query = query_of(environ)

    def tick():
        with open(query["ticks"], "ab", buffering=0) as file:
            while not os.path.exists(query["until"]):
                file.write(b".")
                time.sleep(0.002)

    threading.Thread(target=tick).start()
    return flood(environ, start_response)


@case
def faulthandler_state(environ, start_response):
    return answer(start_response, faulthandler.is_enabled())


@case
def gil_state(environ, start_response):
    return answer(start_response, getattr(sys, "_is_gil_enabled", lambda: True)())


def application(environ, start_response):
    name = environ["PATH_INFO"].split("/")[1]
    return (cases.get(name) or getattr(wsgi_cases, name))(environ, start_response)


validated = validator(application)
