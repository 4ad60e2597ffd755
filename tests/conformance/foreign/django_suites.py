"""Django's own tests, with Stint for their server.

    django_suites.py --stint build/release/stint --foreign build/foreign --suite servers

Django's runner runs them in this process, with SQLite in memory, and three things go through a real Stint:
  LiveServerTestCase   Stint is the live server; its requests come back to Django's handler in a thread here
  django.test.Client   each request is sent over HTTP; Django's handler gets the environ that Stint made, in the test's own
                       thread, and what came over the wire is compared with the response that the test looks at
  WSGIRequest({…})     a request made of an environ in a test is sent as well, and reads Stint's wsgi.input
An environ that no HTTP request can become stays as it is. A test that fails has to be in README.md.
"""

import http.client
import os
import runpy
import sys
import threading
import types
import weakref

import django.core.handlers.wsgi as wsgi
import django.core.servers.basehttp as basehttp
from bridge import BridgedServer, Carried, Channel, Exchange, Sent, Unsendable, body_of, merged, request_of
from exceptions import Exceptions
from foreign import Suite
from noting import NotingResult, judge
from stint_server import PATIENCE, expect

# Fewer tests than this that talk to Stint, and something here no longer does what it says.
LEAST_SERVED = {
    "servers": 19,
    "requests_tests": 62,
    "file_uploads": 31,
    "staticfiles_tests": 17,
    "handlers": 24,
    "conditional_processing": 24,
    "view_tests": 151,
}
HELD_AT_MOST = 6  # requests that tests keep open, each in a worker

suite = Suite(__doc__, suite=LEAST_SERVED)
_shared = None


def shared_server():
    """The Stint of all test clients; it is started by the first of them."""
    global _shared
    if _shared is None:
        _shared = BridgedServer(suite.stint, workers=HELD_AT_MOST + 2).__enter__()
    return _shared


# --- LiveServerTestCase -------------------------------------------------------------------------------------------------
class StintLiveServer(basehttp.ThreadedWSGIServer):
    """Django's threads and its care for database connections; but what it accepts are requests that Stint hands over."""

    def server_bind(self):
        self.socket.close()
        settings = {"listen": [f"127.0.0.1:{self.server_address[1]}"]}
        self.stint = BridgedServer(suite.stint, workers=4, settings=settings).__enter__()
        self.socket = self.stint.listener
        self.server_address = (self.server_address[0], self.stint.port)
        self.server_name, self.server_port = self.server_address
        self.base_environ = {}

    def server_activate(self):
        pass  # it listens already

    def get_request(self):
        connection, _ = self.socket.accept()
        Sent.count += 1  # by a client of the test's own
        return connection, ("127.0.0.1", 0)

    def finish_request(self, connection, client_address):
        Exchange(Channel(connection)).serve(self.get_app())

    def handle_error(self, connection, client_address):
        pass  # the application's error: Stint has logged it

    def server_close(self):
        super().server_close()
        self.stint.__exit__(None, None, None)


# --- django.test.Client -------------------------------------------------------------------------------------------------
def replace_client(client):
    original_call, original_removal = client.ClientHandler.__call__, client.conditional_content_removal
    captured = threading.local()

    def removal(request, response):
        """Before it plays the server: what a server would get to send."""
        if response.streaming:
            if not response.is_async:
                captured.body = list(response.streaming_content)
                response.streaming_content = iter(captured.body)
        else:
            captured.body = [bytes(response.content)]
        return original_removal(request, response)

    def call(self, environ):
        seen = types.SimpleNamespace(response=None)

        def application(environ, start_response):
            captured.body = None
            seen.response = response = original_call(self, environ)
            cookies = [("Set-Cookie", cookie.output(header="")) for cookie in response.cookies.values()]
            start_response(f"{response.status_code} {response.reason_phrase}", [*response.items(), *cookies])
            return captured.body or []

        try:
            Carried(shared_server(), environ, application)
        except Unsendable:
            return original_call(self, environ)
        return seen.response

    client.ClientHandler.__call__ = call
    client.conditional_content_removal = removal


# --- WSGIRequest --------------------------------------------------------------------------------------------------------
class Held:
    """A request that a test keeps: it stays open in a worker while the WSGIRequest lives, at most to the test's end."""

    open = []

    def __init__(self, environ):
        body = body_of(environ)
        self.sent = Sent(shared_server(), request_of(environ, body), environ["REQUEST_METHOD"])
        self.exchange = self.sent.exchange()
        if self.exchange is None:
            raise AssertionError(f"Stint itself answers {self.sent.end().status}")
        self.environ = merged(environ, self.exchange.environ)

    @classmethod
    def end_all(cls):
        for finalizer in cls.open:
            finalizer()
        cls.open.clear()

    @staticmethod
    def end(sent, exchange):
        exchange.serve(lambda environ, start_response: (start_response("204 No Content", []), [])[1])
        expect("it is answered", sent.end().status == 204)


def replace_request():
    original = wsgi.WSGIRequest.__init__

    def init(self, environ):
        if "stint.version" in environ or not environ.get("REQUEST_METHOD"):
            return original(self, environ)
        try:
            held = Held(environ)
        except (Unsendable, OSError):  # OSError: the test's own input, which fails when it is read
            return original(self, environ)
        Held.open.append(weakref.finalize(self, Held.end, held.sent, held.exchange))
        environ.update(held.environ)
        return original(self, environ)

    wsgi.WSGIRequest.__init__ = init


# --- waiting ------------------------------------------------------------------------------------------------------------
def be_patient():
    """Django's tests give a server of their own process 0.1 or 1 second; a slow machine is no failure here."""
    event_wait, connection_init = threading.Event.wait, http.client.HTTPConnection.__init__
    threading.Event.wait = lambda self, timeout=None: event_wait(self, timeout and max(timeout, PATIENCE))

    def init(self, *arguments, **named):
        if isinstance(named.get("timeout"), (int, float)):
            named["timeout"] = PATIENCE
        connection_init(self, *arguments, **named)

    http.client.HTTPConnection.__init__ = init


# --- running ------------------------------------------------------------------------------------------------------------
def runner_class():
    from django.test.runner import DiscoverRunner

    class Result(NotingResult):
        """Who failed, and who talked to Stint."""

        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            self.served = set()

        def startTest(self, test):
            super().startTest(test)
            self.before = Sent.count

        def stopTest(self, test):
            Held.end_all()
            if Sent.count > self.before:
                self.served.add(test.id())
            super().stopTest(test)

    class Runner(DiscoverRunner):
        def get_resultclass(self):
            return Result

        def suite_result(self, suite_, result):
            Runner.result = result
            return 0

    return Runner


def main():
    settings = types.ModuleType("stint_settings")
    sys.path.insert(0, str(suite.source("django") / "tests"))
    settings.__dict__.update({key: value for key, value in vars(__import__("test_sqlite")).items() if key.isupper()})
    settings.TEST_RUNNER = "stint_runner.Runner"
    sys.modules["stint_settings"] = settings
    sys.modules["stint_runner"] = runner = types.ModuleType("stint_runner")

    basehttp.ThreadedWSGIServer = StintLiveServer
    replace_request()
    be_patient()
    import django.test.client

    replace_client(django.test.client)
    runner.Runner = runner_class()
    listed = Exceptions(f"Django: {suite.options.suite}")
    sys.argv = ["runtests.py", suite.options.suite, "--settings=stint_settings", "--parallel=1", "-v1"]
    try:
        runpy.run_path(str(suite.source("django") / "tests/runtests.py"), run_name="__main__")
    except SystemExit as end:
        expect("Django's runner comes to its end", not end.code, end.code)
    if _shared is not None:
        _shared.__exit__(None, None, None)

    result = runner.Runner.result
    is_root, as_root = os.geteuid() == 0, "fails for root"
    judge(
        suite, listed, result,
        outcome=lambda said, report: as_root if said == as_root and is_root else None,
        excused=lambda said: said == as_root and not is_root,
    )  # fmt: skip
    print(f"{len(result.served)} tests sent {Sent.count} requests through Stint")
    with suite.case("enough tests go through Stint", listed) as case:
        least = LEAST_SERVED[suite.options.suite]
        case.good, case.outcome = ("enough",), "enough" if len(result.served) >= least else f"{len(result.served)} of {least}"
    return suite.end(listed)


if __name__ == "__main__":
    sys.exit(main())
