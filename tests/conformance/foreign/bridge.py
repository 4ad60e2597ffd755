"""A WSGI application of this process, served by Stint: apps/bridge_app.py in Stint's worker hands each request over, and
what the application here does (start_response, write, reads of wsgi.input, items, close()) is done there, at that moment.

So a test that needs its application beside it, with its database, its patches and its thread, sees a real server, a real
environ and a real wsgi.input all the same.
"""

import http.client
import io
import os
import select
import socket
import sys
import threading
import urllib.parse
from pathlib import Path

from stint_server import PATIENCE, Failure, StintServer, expect

sys.path.insert(0, str(Path(__file__).resolve().parent / "apps"))
from bridge_app import Channel  # noqa: E402


def ask(channel, kind, *value):
    channel.send(kind, value)
    answer, result, _ = channel.receive()
    if answer == "refused":
        raise result
    if answer != "done":
        raise OSError("the server has given this request up")
    return result


class RemoteInput:
    """Stint's own wsgi.input: every call is made there."""

    def __init__(self, channel):
        self.channel = channel

    def read(self, *size):
        return ask(self.channel, "input", "read", *size)

    def readline(self, *size):
        return ask(self.channel, "input", "readline", *size)

    def readlines(self, *hint):
        return ask(self.channel, "input", "readlines", *hint)

    def __iter__(self):
        return iter(self.readline, b"")


class RemoteErrors(io.TextIOBase):
    def __init__(self, channel):
        self.channel = channel

    def write(self, text):
        ask(self.channel, "errors", "write", text)
        return len(text)

    def flush(self):
        ask(self.channel, "errors", "flush")


class FileWrapper:
    """wsgi.file_wrapper of this end. A real file is sent to Stint's own; what has no descriptor is iterated here."""

    def __init__(self, file, block_size=8192):
        self.file, self.block_size = file, block_size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self):
        return iter(lambda: self.file.read(self.block_size), b"")

    def descriptor(self):
        try:
            return self.file.fileno()
        except (AttributeError, OSError, ValueError):
            return None


class Exchange:
    """One request that Stint handed over."""

    def __init__(self, channel):
        self.channel = channel
        kind, self.environ, _ = channel.receive()
        expect("Stint hands a request over", kind == "environ", kind)
        self.given = []  # what the application gave for a body; a file that it sent is not in it
        self.environ |= {
            "wsgi.input": RemoteInput(channel),
            "wsgi.errors": RemoteErrors(channel),
            "wsgi.file_wrapper": FileWrapper,
        }

    def start_response(self, status, headers, exc_info=None):
        try:
            ask(self.channel, "start_response", status, headers, exc_info and exc_info[1])
        except Exception:
            if exc_info:
                raise exc_info[1].with_traceback(exc_info[2]) from None
            raise
        return self.write

    def write(self, data):
        ask(self.channel, "write", data)
        self.given.append(data)

    def serve(self, application):
        """Calls the application as Stint calls it, and hands it what Stint does next. What it raises is raised here too,
        after Stint has heard of it."""
        try:
            result = application(self.environ, self.start_response)
            descriptor = result.descriptor() if isinstance(result, FileWrapper) else None
            if descriptor is not None:
                self.given = None
            self.channel.send("returned", getattr(result, "block_size", 0), descriptor)
            iterator = iter(result)
            while True:
                kind, _, _ = self.channel.receive()
                if kind == "next":
                    item = next(iterator, self)
                    if item is not self:
                        self.given.append(item)
                    self.channel.send(*(("end",) if item is self else ("item", item)))
                    continue
                if hasattr(result, "close"):
                    result.close()
                if kind == "close":
                    self.channel.send("closed")
                return
        except BaseException as error:
            try:
                self.channel.send("raised", f"{type(error).__name__}: {error}")
            except OSError:
                pass  # Stint was told of it before
            raise
        finally:
            self.channel.close()


class BridgedServer(StintServer):
    """Stint with apps/bridge_app.py, and the socket at which it hands requests over."""

    def __init__(self, stint, workers=2, **others):
        # The socket has to be there before a worker is; the folder is the server's own.
        self.listener = socket.socket(socket.AF_UNIX)
        settings = others.pop("settings", {})
        super().__init__(
            stint, "bridge_app:application", workers=workers, settings={"app.retry_interrupted": False, **settings}, **others
        )

    def environment(self):
        path = self.folder / "bridge.sock"
        self.listener.bind(str(path))
        self.listener.listen(64)
        return {"BRIDGE_SOCKET": str(path)}

    def forget(self):
        self.listener.close()
        super().forget()


# --- requests as a client of HTTP sends them ----------------------------------------------------------------------------
class Unsendable(Exception):
    """An environ that no request over HTTP can become."""


SENT = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH")
TARGET_SAFE = "/!$&'()*+,;=:@-._~"
QUERY_SAFE = TARGET_SAFE + '?%"<>[]\\^`{|}'


def is_sent(key):
    return key in SENT or (key.startswith("HTTP_") and key != "HTTP_HOST")


def host_of(environ):
    if "HTTP_HOST" in environ:
        return environ["HTTP_HOST"]
    port = str(environ.get("SERVER_PORT", "80"))
    return environ.get("SERVER_NAME", "testserver") + ("" if port in ("80", "443") else f":{port}")


def request_of(environ, body):
    """The bytes of the request that an environ of a test stands for."""
    if "REQUEST_METHOD" not in environ:
        raise Unsendable("no method")
    path = environ.get("PATH_INFO") or "/"
    if not path.startswith("/"):
        raise Unsendable(f"PATH_INFO {path!r}")
    target = urllib.parse.quote(path.encode("latin-1"), safe=TARGET_SAFE)
    raw, question, _ = environ.get("REQUEST_URI", "").partition("?")
    if raw.startswith("/") and urllib.parse.unquote_to_bytes(raw).decode("latin-1") == path:
        target = urllib.parse.quote(raw, safe=TARGET_SAFE + "%")
    query = environ.get("QUERY_STRING", "")
    if query or question:
        target += "?" + urllib.parse.quote(query.encode("latin-1"), safe=QUERY_SAFE)
    lines = [f"{environ['REQUEST_METHOD']} {target} HTTP/1.1", f"Host: {host_of(environ)}"]
    for key, value in environ.items():
        if key.startswith("HTTP_") and key != "HTTP_HOST":
            lines.append(f"{key[5:].replace('_', '-').title()}: {value}")
    if environ.get("CONTENT_TYPE"):
        lines.append(f"Content-Type: {environ['CONTENT_TYPE']}")
    if body or environ.get("CONTENT_LENGTH") not in (None, ""):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def body_of(environ):
    """What the client of this environ sends: as much as its CONTENT_LENGTH says."""
    if "wsgi.input" not in environ:
        raise Unsendable("no body")
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size) if size else b""
    if size and hasattr(environ["wsgi.input"], "seekable") and environ["wsgi.input"].seekable():
        environ["wsgi.input"].seek(-len(body), os.SEEK_CUR)  # a redirect may have it sent again
    if len(body) < size:
        raise Unsendable(f"a body of {len(body)} bytes with CONTENT_LENGTH {size}")
    return body


class Sent:
    """A request on its own connection; a thread takes the answer, so that nothing stands still while we serve it."""

    count = 0

    def __init__(self, server, request, method):
        Sent.count += 1
        self.answer, self.failure = None, None
        self.server = server
        self.connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        self.method = method
        self.answered_read, self.answered_write = socket.socketpair()
        self.thread = threading.Thread(target=self._take_answer, daemon=True)
        self.thread.start()
        try:
            self.connection.sendall(request)
        except OSError:
            pass  # refused before it was all sent: the answer says so

    def _take_answer(self):
        try:
            answer = http.client.HTTPResponse(self.connection, method=self.method)
            answer.begin()
            answer.body, answer.method = answer.read(), self.method
            self.answer = answer
        except Exception as failure:
            self.failure = failure
        finally:
            self.answered_write.close()

    def exchange(self):
        """What Stint hands over for it; None when Stint answers by itself."""
        ready, _, _ = select.select([self.server.listener, self.answered_read], [], [], PATIENCE)
        expect("Stint answers or hands over", ready)
        if self.server.listener not in ready:
            return None
        connection, _ = self.server.listener.accept()
        return Exchange(Channel(connection))

    def _wait(self):
        self.thread.join(PATIENCE)
        self.connection.close()
        self.answered_read.close()

    def end_of_failure(self):
        """The answer to a call that raised; None when it came cut."""
        self._wait()
        return self.answer

    def end(self):
        """The answer, complete."""
        self._wait()
        if self.failure:
            raise Failure(f"no whole answer to {self.method}: {self.failure!r}") from self.failure
        expect("the answer ends", self.answer is not None)
        return self.answer


def merged(environ, seen):
    """What Stint made of a test's environ, with what a test adds that no client can send: keys of its own, a script name,
    another remote address, https. What a client does send has to come through as it was."""
    for key, value in environ.items():
        if is_sent(key) and key != "CONTENT_LENGTH" and value != "":
            sent = value if key != "PATH_INFO" else value or "/"
            expect(f"{key} arrives as it was sent", seen.get(key) == sent.strip(" \t"), seen.get(key), value)
    result = dict(seen)
    for key, value in environ.items():
        if is_sent(key) or key in ("HTTP_HOST", "SERVER_PROTOCOL") or key == "wsgi.input":
            continue
        default = {"wsgi.url_scheme": "http", "SCRIPT_NAME": "", "REMOTE_ADDR": "127.0.0.1"}.get(key)
        if isinstance(value, io.StringIO):  # a test that looks at its own wsgi.errors
            result[key] = value
        if key == "wsgi.file_wrapper":
            default = FileWrapper
        if key not in seen or (default is not None and value != default):
            result[key] = value
    return result


class Refused(Failure):
    """Stint answered by itself: the request never reached the application."""


class Carried:
    """One request of a test, carried to its application through Stint, and the answer that came over the wire."""

    def __init__(self, server, environ, application):
        request, method = request_of(environ, body_of(environ)), environ["REQUEST_METHOD"]
        sent = Sent(server, request, method)
        exchange = sent.exchange()
        if exchange is None:
            raise Refused(f"Stint itself answers {sent.end().status} to {method} {environ.get('PATH_INFO')}")
        exchange.environ = merged(environ, exchange.environ)
        self.status, self.headers = None, []

        def start_response(status, headers, exc_info=None):
            write = exchange.start_response(status, list(headers), exc_info)
            self.status, self.headers = status, list(headers)
            return write

        try:
            exchange.serve(lambda environ, _: application(environ, start_response))
        except BaseException:
            answer = sent.end_of_failure()
            expect("an exception is answered 500, or leaves the answer cut", answer is None or answer.status == 500, answer)
            raise
        self.answer = sent.end()
        self.compare_heads()
        if exchange.given is not None:
            self.compare_body(b"".join(exchange.given))

    def compare_heads(self):
        """The status and every field that the application gave are on the wire."""
        status = f"{self.answer.status} {self.answer.reason}"
        expect("the status is the application's", status == self.status, status, self.status)
        fields = [(name.lower(), value.strip(" \t")) for name, value in self.answer.getheaders()]
        for name, value in self.headers:
            field = (name.lower(), value.strip(" \t"))
            expect("each field is on the wire", field in fields or is_without_length(self.answer, field), field, fields)

    def compare_body(self, body):
        """What the application gave, up to the length that it said."""
        if self.answer.method == "HEAD" or self.answer.status in (204, 304):
            body = b""
        length = next((int(value) for name, value in self.headers if name.lower() == "content-length"), len(body))
        expect("the body is the application's", self.answer.body == body[:length], self.answer.body[:200], body[:200])


def is_without_length(answer, field):
    """RFC 9110 8.6: no Content-Length in an answer 204; in 304 it would speak of another answer."""
    return field[0] == "content-length" and answer.status in (204, 304)
