"""WSGI applications for tests/embed, one for each behaviour. Each is named by what it does."""

import contextvars
import functools
import gzip
import io
import json
import os
import resource
import sys
import tempfile
import threading

TEXT = [("Content-Type", "text/plain")]

# What applications leave for the next request, or the test, to look at.
kept = {}
events = []


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]


def nothing_kept(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"ok"]


def environ_as_json(environ, start_response):
    shown = {key: value if isinstance(value, (str, bool, int)) else repr(value) for key, value in environ.items()}
    start_response("200 OK", TEXT)
    return [json.dumps(shown).encode("ascii")]


def environ_facts(environ, start_response):
    """What JSON cannot show: types, and that nothing is shared with the last request."""
    facts = [
        type(environ) is dict,
        "mutated" not in environ,
        environ["wsgi.version"] == (1, 0),
        all(type(v) is str and all(ord(c) < 256 for c in v) for k, v in environ.items() if "." not in k),
        environ is not kept.get("environ"),
    ]
    environ["mutated"] = 1
    environ["SCRIPT_NAME"] = "/changed"
    kept["environ"] = environ
    start_response("200 OK", TEXT)
    return [repr(facts).encode()]


def interned_keys(environ, start_response):
    """Which of the keys that came from fields the interpreter keeps for itself."""
    keys = [key for key in environ if key.startswith("HTTP_") and sys.intern("".join(list(key))) is key]
    start_response("200 OK", TEXT)
    return [" ".join(keys).encode() + b" "]


def input_by_methods(environ, start_response):
    body = environ["wsgi.input"]
    got = [
        body.read(2), body.readline(), body.readline(2), body.readline(-1), body.readlines(1), next(body),
        list(body), body.read(), body.read(5), body.readline(), body.readlines(), body.read(10**30),
    ]
    start_response("200 OK", TEXT)
    return [repr(got).encode()]


def input_echo(environ, start_response):
    data = environ["wsgi.input"].read()
    start_response("200 OK", TEXT)
    return [data]


def input_lines(environ, start_response):
    lines = [len(line) for line in environ["wsgi.input"]]
    start_response("200 OK", TEXT)
    return [repr(lines).encode()]


def input_wrong_arguments(environ, start_response):
    raised = []
    for call in (lambda i: i.read("x"), lambda i: i.read(1, 2), lambda i: i.readline(1.5), lambda i: i.read(None)):
        try:
            raised.append(call(environ["wsgi.input"]))
        except TypeError:
            raised.append("TypeError")
    start_response("200 OK", TEXT)
    return [repr(raised).encode()]


def input_from_threads(environ, start_response):
    """Two threads read one body in pieces; together they have each byte once."""
    body, pieces = environ["wsgi.input"], []

    def read():
        while piece := body.read(100_000):
            pieces.append(piece)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    start_response("200 OK", TEXT)
    return [repr((sum(map(len, pieces)), sum(map(sum, pieces)))).encode()]


def input_kept(environ, start_response):
    """Keeps the first request's input and reads it in the second."""
    raised = []
    if "input" in kept:
        for method in ("read", "readline", "readlines", "__next__"):
            try:
                raised.append(getattr(kept["input"], method)())
            except ValueError:
                raised.append("ValueError")
    kept["input"] = environ["wsgi.input"]
    start_response("200 OK", TEXT)
    return [repr(raised).encode()]


def input_read_after_the_request(environ, start_response):
    """A thread goes on reading while the request ends."""
    body = environ["wsgi.input"]

    def read():
        try:
            while body.read(1 << 20):
                pass
            events.append("end")
        except ValueError:
            events.append("ValueError")

    kept["thread"] = threading.Thread(target=read)
    kept["thread"].start()
    start_response("200 OK", TEXT)
    return [b"ok"]


def join_thread(environ, start_response):
    kept["thread"].join()
    start_response("200 OK", TEXT)
    return [repr(events).encode()]


def start_response_variants(environ, start_response):
    query = environ["QUERY_STRING"]
    if query == "two":
        start_response("200 OK", [])
    elif query == "three":
        start_response("200 OK", [], None)
    elif query == "keyword":
        start_response("200 OK", [], exc_info=None)
    return [b"ok"]


BAD_CALLS = {
    "status-bytes": lambda s: s(b"200 OK", []),
    "status-wide": lambda s: s("200 \u20ac", []),
    "headers-tuple": lambda s: s("200 OK", ()),
    "item-list": lambda s: s("200 OK", [["A", "b"]]),
    "item-three": lambda s: s("200 OK", [("A", "b", "c")]),
    "value-int": lambda s: s("200 OK", [("A", 1)]),
    "value-bytes": lambda s: s("200 OK", [("A", b"1")]),
    "value-wide": lambda s: s("200 OK", [("A", "\u20ac")]),
    "value-newline": lambda s: s("200 OK", [("A", "b\r\nSet-Cookie: c")]),
    "no-headers": lambda s: s("200 OK"),
    "four": lambda s: s("200 OK", [], None, None),
    "unknown-keyword": lambda s: s("200 OK", [], status=1),
    "twice": lambda s: (s("200 OK", []), s("200 OK", [])),
    "exc-info-true": lambda s: s("200 OK", [], True),
}


def start_response_wrong(environ, start_response):
    """The error is raised at the call, where the application can answer it."""
    try:
        BAD_CALLS[environ["QUERY_STRING"]](start_response)
        raised = "nothing"
    except Exception as error:
        raised = type(error).__name__ + ": " + str(error)
        if environ["QUERY_STRING"] == "twice":
            return [raised.encode()]
    start_response("500 Told", TEXT)
    return [raised.encode("ascii", "backslashreplace")]


def replaced_head(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise KeyError("x")
    except KeyError:
        start_response("500 Replaced", [("X-Second", "2")], sys.exc_info())
    return [b"error page"]


def replaced_head_after_empty_item(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    yield b""
    try:
        raise KeyError("x")
    except KeyError:
        start_response("500 Replaced", [], sys.exc_info())
    yield b"error page"


def too_late_exc_info(environ, start_response):
    start_response("200 OK", [])
    yield b"begun"
    try:
        raise KeyError("too late")
    except KeyError:
        start_response("500 Error", [], sys.exc_info())
    yield b"never"


def too_late_exc_info_swallowed(environ, start_response):
    start_response("200 OK", [])
    yield b"begun"
    try:
        try:
            raise KeyError("too late")
        except KeyError:
            start_response("500 Error", [], sys.exc_info())
    except KeyError:
        pass
    yield b"end"


def lazy_start(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"one"
    yield b"two"


class Items:
    """An iterable that tells what is done with it; its iterator has a close() that must not be called."""

    def __init__(self, items, fails=None, close_fails=False):
        self.items, self.fails, self.close_fails = items, fails, close_fails

    def __iter__(self):
        return ItemsIterator(self)

    def close(self):
        events.append("close")
        if self.close_fails:
            raise RuntimeError("close failed")


class ItemsIterator:
    def __init__(self, parent):
        self.parent, self.position = parent, 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.position == len(self.parent.items):
            if self.parent.fails:
                raise self.parent.fails
            events.append("exhausted")
            raise StopIteration
        self.position += 1
        events.append("item %d" % self.position)
        return self.parent.items[self.position - 1]

    def close(self):
        events.append("close of the iterator")


def start(start_response, headers=()):
    events.clear()
    start_response("200 OK", list(headers))


def items_three(environ, start_response):
    start(start_response)
    return Items([b"one", b"", b"two", b"three"])


def items_with_length(environ, start_response):
    start(start_response, [("Content-Length", "6")])
    return Items([b"one", b"two", b"never", b"asked"])


def items_first_is_all(environ, start_response):
    start(start_response, [("Content-Length", "3")])
    return Items([b"one", b"never"])


def items_str(environ, start_response):
    start(start_response)
    return Items(["one"])


def items_fail(environ, start_response):
    start(start_response)
    return Items([b"one"], fails=ZeroDivisionError("in the middle"))


def items_close_fails(environ, start_response):
    start(start_response)
    return Items([b"one"], close_fails=True)


def items_without_start(environ, start_response):
    events.clear()
    return Items([b"one"])


def show_events(environ, start_response):
    start_response("200 OK", TEXT)
    return [", ".join(events).encode()]


def list_of_two(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"one", b"two"]


def tuple_of_one(environ, start_response):
    start_response("200 OK", TEXT)
    return (b"one",)


def empty_list(environ, start_response):
    start_response("200 OK", TEXT)
    return []


def empty_generator(environ, start_response):
    start_response("200 OK", TEXT)
    return iter(())


def list_with_str(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"one", "two"]


def list_with_bytearray(environ, start_response):
    start_response("200 OK", TEXT)
    return [bytearray(b"one")]


class Sequence:
    def __getitem__(self, index):
        return [b"a", b"b", b"c"][index]


def old_sequence(environ, start_response):
    start_response("200 OK", TEXT)
    return Sequence()


def returns_none(environ, start_response):
    start_response("200 OK", TEXT)


def returns_bytes(environ, start_response):
    start_response("200 OK", TEXT)
    return b"body"


def returns_int(environ, start_response):
    start_response("200 OK", TEXT)
    return 5


def no_start_response(environ, start_response):
    return [b"body"]


def no_start_response_at_all(environ, start_response):
    return iter([])


def written_then_returned(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"one ")
    write(b"")
    write(b"two ")
    return [b"three"]


def write_str(environ, start_response):
    start_response("200 OK", TEXT)("text")


def write_until_gone(environ, start_response):
    write = start_response("200 OK", TEXT)
    while True:
        write(b"x" * 100)


def write_kept(environ, start_response):
    """Keeps both callables of the first request and uses them in the second."""
    raised = []
    for callable, args in kept.get("callables", []):
        try:
            callable(*args)
        except RuntimeError as error:
            raised.append(str(error))
    write = start_response("200 OK", TEXT)
    kept["callables"] = [(start_response, ("200 OK", [])), (write, (b"x",))]
    return [repr(raised).encode()]


EXCEPTIONS = {
    "zero": ZeroDivisionError("division by zero"),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "generator": GeneratorExit(),
    "base": BaseException("base"),
    "lines": ValueError("first\nsecond"),
    "long": ValueError("\u20ac" * (10 << 20) + "\nthe end"),
    "wide": ValueError("\u20ac \udc80"),
}


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def raises(environ, start_response):
    if environ["QUERY_STRING"] == "unprintable":
        raise Unprintable
    raise EXCEPTIONS[environ["QUERY_STRING"]]


def exc_info_now(environ, start_response):
    start_response("200 OK", TEXT)
    return [repr(sys.exc_info()).encode()]


class ClassApplication:
    def __init__(self, environ, start_response):
        self.start_response = start_response

    def __iter__(self):
        self.start_response("200 OK", TEXT)
        yield b"from a class"


class CallableObject:
    class Inner:
        def __call__(self, environ, start_response):
            start_response("200 OK", TEXT)
            return [b"from an object"]

    application = Inner()


callable_object = CallableObject()


def _with_prefix(prefix, environ, start_response):
    start_response("200 OK", TEXT)
    return [prefix + b" partial"]


partial = functools.partial(_with_prefix, b"from a")


class ClosingFile(io.FileIO):
    pass


def _file(content, kind):
    file = tempfile.TemporaryFile()
    file.write(content)
    file.seek(0)
    if kind == "bytesio":
        return io.BytesIO(content)
    if kind == "subclass":
        return ClosingFile(os.dup(file.fileno()))
    if kind == "gzip":
        file = tempfile.NamedTemporaryFile()
        with gzip.open(file.name, "wb") as out:
            out.write(content)
        return gzip.open(file.name)
    if kind == "raw":
        return io.FileIO(os.dup(file.fileno()))
    if kind == "text":
        return io.TextIOWrapper(file)
    if kind == "proxy":
        class Proxy:  # as Django's File
            def __init__(self, file):
                self.file = file

            read = property(lambda self: self.file.read)

        return Proxy(file)
    return file


def file_wrapped(environ, start_response):
    """?KIND[,skip][,length=N][,middleware]"""
    kind, *options = environ["QUERY_STRING"].split(",")
    file = _file(b"0123456789" * 10, kind)
    headers = [("Content-Length", option[7:]) for option in options if option.startswith("length=")]
    if "skip" in options:
        file.read(5)
    if "end" in options:
        file.seek(0, 2)
    if "closed" in options:
        file.close()
    start_response("200 OK", TEXT + headers)
    wrapper = environ["wsgi.file_wrapper"](file, 7)
    kept["file"], kept["wrapper"] = file, wrapper
    if "middleware" in options:
        return (item for item in wrapper)
    return wrapper


def file_state(environ, start_response):
    wrapper = kept["wrapper"]
    wrapper.close()
    start_response("200 OK", TEXT)
    return [repr((getattr(kept["file"], "closed", None), wrapper.blksize, iter(wrapper) is wrapper)).encode()]


def errors_written(environ, start_response):
    errors = environ["wsgi.errors"]
    errors.write("one\ntwo\npart")
    errors.write("ial\n")
    errors.write("\u20ac\udc80 \u00e9\n")
    errors.writelines(["a", "b\n", "c"])
    errors.flush()
    errors.write("left over")
    start_response("200 OK", TEXT)
    return [b"ok"]


def errors_huge(environ, start_response):
    """Each as large as all the memory that there is room for beside it: a limit stands for a machine that has no more."""
    text = "x" * (64 << 20)
    lines = ["\u20ac" * (16 << 20), "\n"]
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + (80 << 20), before[1]))
    try:
        said = [environ["wsgi.errors"].write(text), environ["wsgi.errors"].writelines(lines)]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    start_response("200 OK", TEXT)
    return [repr(said).encode()]


class WritesAtItsEnd(list):
    errors = None

    def __del__(self):
        self.errors.write(", and more")


def errors_left_over(environ, start_response):
    """A line without its end; the iterable writes more of it as it goes, or the call raises."""
    environ["wsgi.errors"].write("left over")
    if environ["QUERY_STRING"] == "raise":
        raise ZeroDivisionError
    start_response("200 OK", TEXT)
    answer = WritesAtItsEnd([b"ok"])
    answer.errors = environ["wsgi.errors"]
    return answer


def errors_long(environ, start_response):
    """One write of two lines, the second one long; errors_of_other() writes to the same stream."""
    kept["errors of other"] = environ["wsgi.errors"]
    environ["wsgi.errors"].write("a\n" + "b" * 20_000 + "\n")
    start_response("200 OK", TEXT)
    return [b"ok"]


def errors_of_other(environ, start_response):
    kept["errors of other"].write("from another thread\n")
    start_response("200 OK", TEXT)
    return [b"ok"]


def errors_wrong(environ, start_response):
    environ["wsgi.errors"].write(b"bytes")


def errors_kept(environ, start_response):
    """Another thread writes to the first request's stream in the second."""
    if "errors" in kept:
        thread = threading.Thread(target=kept["errors"].write, args=("late\n",))
        thread.start()
        thread.join()
    kept.setdefault("errors", environ["wsgi.errors"])
    start_response("200 OK", TEXT)
    return [b"ok"]


variable = contextvars.ContextVar("variable", default="unset")


def context_variable(environ, start_response):
    """The iterable sees what the call has set; the next request does not."""
    before = variable.get()
    variable.set("set")
    start_response("200 OK", TEXT)

    def items():
        yield (before + " " + variable.get()).encode()

    return items()


local = threading.local()


def thread_local(environ, start_response):
    local.count = getattr(local, "count", 0) + 1
    start_response("200 OK", TEXT)
    return [b"%d" % local.count]


def forks(environ, start_response):
    """The child comes back from the application in the way the query names."""
    way = environ["QUERY_STRING"]
    write = start_response("200 OK", TEXT)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        kept["pipe"] = write_end  # closes when the child ends
        print("printed by the child", file=os.fdopen(os.dup(write_end), "w"), flush=True)
        if way == "raise":
            raise RuntimeError("in the child")
        if way == "exit":
            sys.exit(7)
        if way == "message":
            os.dup2(write_end, 2)
            sys.exit("nothing to do")
        if way == "write":
            write(b"child")
        return [b"child"]
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    return [repr((said, os.waitstatus_to_exitcode(status))).encode()]


def forks_in_the_iterable(environ, start_response):
    start_response("200 OK", TEXT)
    pid = os.fork()
    if pid != 0:
        _, status = os.waitpid(pid, 0)
        yield b"parent %d" % os.waitstatus_to_exitcode(status)
    else:
        yield b"child"


def subprocess_runs(environ, start_response):
    import subprocess

    out = subprocess.run([sys.executable, "-c", "print('from a subprocess')"], capture_output=True, check=True).stdout
    start_response("200 OK", TEXT)
    return [out]


imports = kept.setdefault("imports", [])
imports.append((threading.current_thread() is threading.main_thread(), list(sys.argv), sys.path[0], os.getcwd()))


def import_facts(environ, start_response):
    start_response("200 OK", TEXT)
    return [json.dumps(imports).encode()]


def bytes_of_size(environ, start_response):
    start_response("200 OK", TEXT)
    kept["big"] = b"x" * int(environ["QUERY_STRING"])
    return [kept["big"]]


def references_of_kept(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"%d" % (sys.getrefcount(kept["big"]) - 1)]


class Piece(bytes):
    alive = 0

    def __init__(self, _):
        Piece.alive += 1

    def __del__(self):
        Piece.alive -= 1


def pieces(environ, start_response):
    """Notes before each item how many of those before it are alive."""
    start_response("200 OK", TEXT)
    kept["alive"] = []
    for _ in range(4):
        kept["alive"].append(Piece.alive)
        yield Piece(b"p" * 100_000)


def pieces_written(environ, start_response):
    write = start_response("200 OK", TEXT)
    kept["alive"] = []
    for _ in range(4):
        kept["alive"].append(Piece.alive)
        write(Piece(b"p" * 100_000))
    return []


def pieces_alive(environ, start_response):
    start_response("200 OK", TEXT)
    return [str(kept["alive"]).encode()]


def other_thread_while_flushing(environ, start_response):
    """?READ,WRITE: a second thread waits for a byte from READ, uses both callables, and says so on WRITE."""
    read_end, write_end = map(int, environ["QUERY_STRING"].split(","))
    write = start_response("200 OK", TEXT)

    def meddle():
        os.read(read_end, 1)
        for call in (lambda: write(b"meddling"), lambda: start_response("500 Error", [], (KeyError, KeyError(), None))):
            try:
                call()
            except RuntimeError as error:
                events.append(str(error))
        os.write(write_end, b"x")

    thread = threading.Thread(target=meddle)
    thread.start()
    yield b"one"
    thread.join()
    yield "; ".join(events).encode()


not_callable = {"a": 1}


def raised_by(function):
    try:
        function()
        return "nothing"
    except Exception as error:
        return type(error).__name__ + ": " + str(error)


def says_multithread(environ, start_response):
    start_response("200 OK", TEXT)
    return [str(environ["wsgi.multithread"]).encode()]


meeting = threading.Barrier(2)


def together(environ, start_response):
    """Two calls at the same time, each in the middle of the other."""
    mark = [("X-Mark", environ["QUERY_STRING"])]
    environ["wsgi.early_hints"](mark)
    meeting.wait(60)
    environ["wsgi.early_hints"](mark)
    start_response("200 OK", mark)
    meeting.wait(60)
    return [environ["QUERY_STRING"].encode()]


def early_hints(environ, start_response):
    hints = environ["wsgi.early_hints"]
    query = environ["QUERY_STRING"]
    said = []
    if query == "keep":
        kept["hints"] = hints
    elif query == "use-kept":
        said.append(raised_by(lambda: kept.pop("hints")([("Link", "late")])))
    else:
        said.append(raised_by(lambda: hints([("Link", "</a.css>; rel=preload"), ("X-Other", "\u00e9")])))
        for wrong in ((), [["Link", "x"]], [("Link", 1)], [("Link", "\u20ac")], [("Link", "a\nb")]):
            said.append(raised_by(lambda: hints(wrong)))
    start_response("200 OK", TEXT)
    yield "\n".join(said).encode("ascii", "backslashreplace")
    yield ("\n" + raised_by(lambda: hints([]))).encode()


def computes_for_ever(environ, start_response):
    """Until it is interrupted; says so and what by, in the way that the query names."""
    way = environ["QUERY_STRING"]
    kept["runs"] = True
    said = []
    try:
        while True:
            sum(range(100))
    except BaseException as interruption:
        said.append(f"{type(interruption).__module__}.{type(interruption).__name__} "
                    f"{isinstance(interruption, Exception)}")
        if way == "raise":
            raise
        if way == "raise_another":
            raise ValueError("while being interrupted")
    start_response("200 OK", TEXT)
    return [said[0].encode()]


def closes_slowly(environ, start_response):
    """Its close() runs Python code for a while; nothing may interrupt that."""
    class Answer:
        def __iter__(self):
            yield b"given"

        def close(self):
            kept["runs"] = True
            for _ in range(200_000):
                pass
            kept["closed"] = True

    kept.pop("closed", None)
    start_response("200 OK", TEXT)
    return Answer()


def what_runs(environ, start_response):
    start_response("200 OK", TEXT)
    return [repr((kept.pop("runs", False), kept.get("closed", False))).encode()]
