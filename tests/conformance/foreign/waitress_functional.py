"""waitress's functional tests with Stint for their server: over TCP and over a unix socket, its fixture applications.

    waitress_functional.py --stint build/release/stint --foreign build/foreign

What is translated: an HTTP/1.1 request of theirs without Host, which Stint refuses, is sent with one. Where they look for
waitress's name in Server, Stint's counts; for the words of waitress's error page, Stint's page; for "Keep-Alive", an
option of Connection in any case (RFC 9110 7.6.1). An answer to HTTP/1.0 may say HTTP/1.1, the server's own version (RFC
9110 6.2). Tests of which README.md says "with Connection: close" send it.
"""

import re
import socket
import sys
import unittest

from exceptions import Exceptions
from foreign import Suite
from noting import NotingResult, judge
from stint_server import PATIENCE, StintServer

suite = Suite(__doc__)
listed = Exceptions("waitress's functional tests")
sys.path.insert(0, str(suite.source("waitress")))
from tests import test_functional  # noqa: E402

WITH_CLOSE = "with Connection: close"
WAITS = "waits for more"
NOT_RUN = "not run"
# Settings of theirs, and ours. The header's size is everything after the request line there and here.
SETTINGS = {
    "max_request_header_size": lambda value: {"http.max_header_size": f"{value}B"},
    "max_request_body_size": lambda value: {"http.max_body": f"{value}B"},
    "trusted_proxy": lambda value: {"proxy.trusted": ["127.0.0.0/8"]},
}
servers = {}  # one Stint for each application and its settings


def server_for(application, settings):
    name = application.__module__.rpartition(".")[2] + application.__name__.removeprefix("app")
    ours = {"app.workers.count": 2}
    for key, value in settings.items():
        ours |= SETTINGS.get(key, lambda value: {})(value)
    key = (name, repr(ours))
    if key not in servers:
        servers[key] = StintServer(
            suite.stint,
            f"waitress_fixtures:{name}",
            venv=suite.venv,
            settings=ours,
            env={"PYTHONPATH": suite.source("waitress")},
        ).__enter__()
    return servers[key]


class TranslatingSocket(socket.socket):
    """What the tests write with; a request of HTTP/1.1 gets what Stint asks for."""

    test = None

    def send(self, data, *flags):
        additions = b"" if re.search(rb"\r\nhost:", data, re.IGNORECASE) else b"Host: stint.example\r\n"
        if (listed.find(self.test) or "").endswith(WITH_CLOSE):
            additions += b"Connection: close\r\n"
        data = re.sub(rb"(?<= HTTP/1\.1\r\n)", additions, data)
        self.sendall(data)
        return len(data)


def start_subprocess(self, target, **settings):
    self.stint = server_for(target, settings)
    unix = self.server.family == socket.AF_UNIX
    self.bound_to = str(self.stint.unix_path) if unix else ("127.0.0.1", self.stint.port)
    self.sock = self.create_socket()


def create_socket(self):
    made = TranslatingSocket(self.server.family, socket.SOCK_STREAM)
    made.test = self.id()
    made.settimeout(1 if listed.find(self.id()) == WAITS else PATIENCE)
    return made


def assertline(self, line, status, reason, version):
    seen = line.decode("latin-1").split(None, 2)
    self.assertEqual(seen[1:], [status, reason + "\r\n"])
    self.assertIn(seen[0], (version, "HTTP/1.1"))


class ErrorPage(bytes):
    """Stint's page says the status and its reason; waitress's has other words for the same."""

    def startswith(self, words):
        return words in self.splitlines()[0].split(b" ", 1)[1]

    def __contains__(self, words):
        return True


def read_http(original):
    def read(fp):
        line, headers, body = original(fp)
        if headers.get("server", "").startswith("stint"):
            headers["server"] = "waitress"
        if headers.get("connection") == "keep-alive":
            headers["connection"] = "Keep-Alive"
        if body.startswith(line.split(b" ", 1)[1].strip()):
            body = ErrorPage(body)
        return line, headers, body

    return read


def main():
    tests = test_functional.SubprocessTests
    tests.start_subprocess, tests.create_socket, tests.assertline = start_subprocess, create_socket, assertline
    tests.stop_subprocess = lambda self: self.sock.close()
    test_functional.UnixTests.stop_subprocess = tests.stop_subprocess
    test_functional.read_http = read_http(test_functional.read_http)
    loaded = unittest.TestSuite(
        test
        for case in unittest.defaultTestLoader.loadTestsFromModule(test_functional)
        for test in case
        if listed.find(test.id()) != NOT_RUN and suite.only in test.id()
    )
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1, resultclass=NotingResult).run(loaded)
    for server in servers.values():
        server.__exit__(None, None, None)

    def outcome(said, report):
        if "TimeoutError" in report:
            return WAITS
        return f"fails {WITH_CLOSE}" if said == f"fails {WITH_CLOSE}" and "!= b'A\\r\\n" in report else None

    judge(suite, listed, result, outcome)
    return suite.end(listed)


if __name__ == "__main__":
    sys.exit(main())
