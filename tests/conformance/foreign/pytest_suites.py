"""The tests of Werkzeug, Flask and WebOb in which a request goes to an application, with Stint between the two.

    pytest_suites.py --stint build/release/stint --foreign build/foreign --suite werkzeug

pytest runs them in this process. What is a client there sends over HTTP here: werkzeug.test.Client, which is Flask's too,
webob's Request.send and Request.call_application, and the live servers that Werkzeug's and WebOb's tests start. The
application stays in the test, in its thread and its contexts (bridge.py); what came over the wire is what the test gets.
A test that fails has to be in README.md.
"""

import os
import sys
import threading
import types
from contextlib import contextmanager

import pytest
from bridge import BridgedServer, Carried, Channel, Exchange, Sent, Unsendable
from exceptions import Exceptions
from foreign import Suite
from noting import judge
from stint_server import StintServer, expect

# Where a request meets an application; everything else in these distributions tests functions. The least number of tests
# that talk to Stint: fewer, and something here no longer does what it says.
FILES = {
    "werkzeug": ["tests/test_serving.py", "tests/test_test.py", "tests/test_wrappers.py", "tests/test_formparser.py",
                 "tests/test_wsgi.py", "tests/test_send_file.py", "tests/middleware"],
    "flask": ["tests"],
    "flask_tutorial": ["examples/tutorial/tests"],
    "webob": ["tests/test_in_wsgiref.py", "tests/test_client_functional.py", "tests/test_request.py", "tests/test_dec.py",
              "tests/test_static.py", "tests/test_exc.py", "tests/test_response.py"],
}  # fmt: skip
LEAST_SERVED = {"werkzeug": 71, "flask": 235, "flask_tutorial": 21, "webob": 79}

suite = Suite(__doc__, suite=FILES)
_shared = None


def shared_server():
    global _shared
    if _shared is None:
        _shared = BridgedServer(suite.stint).__enter__()
    return _shared


def replace_werkzeug_client():
    import werkzeug.test

    original = werkzeug.test.run_wsgi_app

    def run_wsgi_app(application, environ, buffered=False):
        environ = werkzeug.test._get_environ(environ).copy()
        try:
            carried = Carried(shared_server(), environ, application)
        except Unsendable:
            return original(application, environ, buffered)
        return [carried.answer.body], carried.status, werkzeug.test.Headers(carried.headers)

    def through_client(self, environ, buffered=False):
        # Only what a client does: Response.from_app and others that call an application themselves stay as they are.
        werkzeug.test.run_wsgi_app = run_wsgi_app
        try:
            return original_method(self, environ, buffered)
        finally:
            werkzeug.test.run_wsgi_app = original

    original_method = werkzeug.test.Client.run_wsgi_app
    werkzeug.test.Client.run_wsgi_app = through_client


def replace_webob_call():
    from webob.client import SendRequest
    from webob.request import BaseRequest

    original = BaseRequest.call_application

    def call_application(self, application, catch_exc_info=False):
        # An application that calls another is no client, SendRequest is one itself, and exc_info is for a caller in the
        # same process.
        if catch_exc_info or "stint.version" in self.environ or isinstance(application, SendRequest):
            return original(self, application, catch_exc_info)
        if self.is_body_seekable:
            self.body_file_raw.seek(0)
        try:
            # What it says of the body's object is not of the request.
            environ = {key: value for key, value in self.environ.items() if key != "webob.is_body_seekable"}
            carried = Carried(shared_server(), environ, application)
        except Unsendable:
            return original(self, application, catch_exc_info)
        return carried.status, carried.headers, [carried.answer.body]

    BaseRequest.call_application = call_application


def accept(listener, application, ended):
    """A live server's side: whatever Stint hands over is for this application."""
    while not ended.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        Sent.count += 1  # by a client of the test's own
        connection.setblocking(True)
        try:
            Exchange(Channel(connection)).serve(application)
        except Exception as error:
            print(f"the application raised {error!r}")  # Stint has answered 500


def replace_dev_server():
    """Werkzeug's live servers: its DevServerClient starts Stint with the same application."""
    client = sys.modules["conftest"].DevServerClient

    def enter(self):
        host = self._server_kwargs.get("hostname", "")
        settings = {"listen": ["127.0.0.1:0", f"unix:{host[7:]}"]} if host.startswith("unix://") else {}
        folder = suite.source("werkzeug") / "tests/live_apps"
        self._stint = StintServer(
            suite.stint, "werkzeug_live:application", venv=suite.venv, settings=settings,
            env={"LIVE_APP": f"{self._app_name}_app", "PYTHONPATH": folder},
        ).__enter__()  # fmt: skip
        if self.scheme != "unix":
            self.addr = f"127.0.0.1:{self._stint.port}"
            self.url = f"http://{self.addr}"
        self._read = 0
        Sent.count += 1  # what a test sends to it is not counted one by one
        return self

    def leave(self, *error):
        self._stint.__exit__(None, None, None)

    def read_log(self):
        log = self._stint.log()
        self._read, begin = len(log), self._read
        return log[begin:]

    client.__enter__, client.__exit__, client.read_log = enter, leave, read_log


class Plugin:
    """The fixtures that start servers, and what came of each test."""

    def __init__(self, listed):
        self.listed = listed
        self.ran, self.wrong, self.left_out, self.served = set(), {}, {}, set()

    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if self.listed.find(item.nodeid) != "not run"]
        if suite.options.suite == "werkzeug":
            replace_dev_server()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        before = Sent.count
        result = yield
        if Sent.count > before:
            self.served.add(item.nodeid)
        return result

    def pytest_runtest_logreport(self, report):
        self.ran.add(report.nodeid)
        if report.failed:
            self.wrong.setdefault(report.nodeid, report.longreprtext)
        elif report.skipped:
            self.left_out[report.nodeid] = report.longrepr[2] if isinstance(report.longrepr, tuple) else "expected to fail"

    def pytest_collectreport(self, report):
        if report.failed:
            self.wrong[report.nodeid] = report.longreprtext

    @pytest.fixture
    def serve(self):
        """WebOb's: a server for an application of the test."""

        @contextmanager
        def serving(application):
            with BridgedServer(suite.stint) as server:
                server.url, server.server_port = f"http://localhost:{server.port}", server.port
                ended = threading.Event()
                server.listener.settimeout(0.1)
                thread = threading.Thread(target=accept, args=[server.listener, application, ended], daemon=True)
                thread.start()
                try:
                    yield server
                finally:
                    ended.set()
                    thread.join()

        return serving


def main():
    name = suite.options.suite
    source = suite.source(name.partition("_")[0])
    if name == "webob":
        replace_webob_call()
    else:
        replace_werkzeug_client()
    # What their conftest.py wants of it, a free port, is for Stint to choose.
    sys.modules["ephemeral_port_reserve"] = types.SimpleNamespace(reserve=lambda host: 0)
    if name == "flask_tutorial":
        sys.path.insert(0, str(source / "examples/tutorial"))
    os.chdir(source)
    listed, plugin = Exceptions(f"Tests by pytest: {name}"), None
    plugin = Plugin(listed)
    options = [
        "-q",
        "-c",
        os.devnull,
        f"--rootdir={source}",
        "-p",
        "no:cacheprovider",
        "--tb=short",
        "--no-header",
        "--no-summary",
    ]
    if name == "webob":
        options.append("--noconftest")  # its own server is in there
    if suite.only:
        options += ["-k", suite.only]
    code = pytest.main([*options, *FILES[name]], plugins=[plugin])
    if _shared is not None:
        _shared.__exit__(None, None, None)
    expect("pytest comes to its end", code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), code)
    judge(suite, listed, plugin)
    print(f"{len(plugin.served)} tests sent {Sent.count} requests, or more, through Stint")
    with suite.case("enough tests go through Stint", listed) as case:
        least = LEAST_SERVED[name]
        case.good, case.outcome = ("enough",), "enough" if len(plugin.served) >= least else f"{len(plugin.served)} of {least}"
    return suite.end(listed)


if __name__ == "__main__":
    sys.exit(main())
