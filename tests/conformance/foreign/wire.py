"""One TCP connection with nothing between a test and the bytes: any bytes out, answers in one by one. What http.client
would correct, hide or refuse to send is what the tests here are about."""

import socket
from dataclasses import dataclass

from stint_server import PATIENCE, Failure


@dataclass
class Answer:
    status: int
    fields: list  # (name in lower case, value), as they came
    body: bytes = b""

    def field(self, name):
        """The only field of that name; None when there is none."""
        values = [value for key, value in self.fields if key == name]
        if len(values) > 1:
            raise Failure(f"{len(values)} fields {name}: {values}")
        return values[0] if values else None


class Wire:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""
        self.ended, self.has_received = False, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """False when the server has closed: it may refuse a request before it has all of it."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def send_end(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server was first

    def _receive(self):
        """Reads on; False at the end of the connection. A reset is a failure: an answer may have been lost by it. Before
        any answer it is an end: a server that closes with bytes unread cannot end otherwise."""
        if not self.ended:
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                raise Failure(f"nothing came for {PATIENCE} s; unread: {self.unread[:200]!r}") from None
            except ConnectionResetError:
                if self.has_received:
                    raise Failure(f"the connection was reset; unread: {self.unread[:200]!r}") from None
                data = b""
            self.has_received |= bool(data)
            self.unread += data
            self.ended = not data
        return not self.ended

    def _take(self, size):
        while len(self.unread) < size:
            if not self._receive():
                raise Failure(f"the answer is cut after {len(self.unread)} of {size} bytes")
        taken, self.unread = self.unread[:size], self.unread[size:]
        return taken

    def _take_line(self):
        while b"\r\n" not in self.unread:
            if not self._receive():
                raise Failure(f"a line of the answer is cut: {self.unread[:200]!r}")
        line, self.unread = self.unread.split(b"\r\n", 1)
        return line

    def _chunks(self):
        body = b""
        while size := int(self._take_line(), 16):
            body += self._take(size)
            if self._take(2) != b"\r\n":
                raise Failure("a chunk does not end with CRLF")
        if self._take_line():
            raise Failure("trailer fields in an answer")
        return body

    def answer(self, method="GET"):
        """The next answer, complete; None at the end of the connection."""
        while not self.unread:
            if not self._receive():
                return None
        version, status, _reason = (self._take_line().decode("latin-1") + " ").split(" ", 2)
        if version != "HTTP/1.1":
            raise Failure(f"an answer begins with {version!r}")
        answer = Answer(int(status), [])
        while line := self._take_line().decode("latin-1"):
            name, value = line.split(":", 1)
            answer.fields.append((name.lower(), value.strip(" \t")))
        length, coding = answer.field("content-length"), answer.field("transfer-encoding")
        if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
            pass
        elif coding:
            if coding != "chunked" or length is not None:
                raise Failure(f"an answer with Transfer-Encoding {coding!r} and Content-Length {length!r}")
            answer.body = self._chunks()
        elif length is not None:
            answer.body = self._take(int(length))
        else:
            while self._receive():
                pass
            answer.body, self.unread = self.unread, b""
        return answer

    def rest(self):
        """Everything up to the end of the connection."""
        while self._receive():
            pass
        return self.unread


def calls(port, greeting=b""):
    """How many requests apps/what_it_saw.py has answered; asked in few enough bytes for the smallest limits."""
    with Wire(port) as wire:
        wire.send(greeting + b"GET /stint-calls HTTP/1.0\r\n\r\n")
        return int(wire.answer().body)
