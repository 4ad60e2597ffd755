"""gunicorn's request files, sent to Stint: every file of tests/requests/valid has to reach the application as the file
beside it says, every file of tests/requests/invalid has to be refused. The exceptions are in README.md.

    gunicorn_requests.py --stint build/release/stint --foreign build/foreign

Each file is sent in one piece, line by line and byte by byte. One that has an HTTP/1.1 request without a Host field, which
Stint refuses as RFC 9112 3.2 says, is sent once more with one, so that it is judged for what it is about. The files of
expectations are read, never executed.
"""

import ast
import json
import re
import sys
import urllib.parse

from exceptions import Exceptions
from foreign import Suite
from stint_server import Failure, StintServer, expect
from wire import Wire, calls

# What gunicorn's parser is set to when a file sets nothing else.
DEFAULTS = {"limit_request_line": 4094, "limit_request_fields": 100, "limit_request_field_size": 8190}
HOST = b"Host: stint.example\r\n"
GREETING = b"PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n"  # before our own questions, where connections have to begin with one


# --- reading gunicorn's files -------------------------------------------------------------------------------------------
class Expectation:
    """What one of gunicorn's .py files says: `request` and the settings it makes. A little interpreter of assignments,
    literals, uri(…), a few methods of strings and cfg.set(…), so that nothing fetched is run."""

    def __init__(self, file):
        self.names, self.settings = {}, {}
        for statement in ast.parse(file.read_text()).body:
            if isinstance(statement, ast.ImportFrom):
                self.names |= {alias.name: alias.name for alias in statement.names}
            elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                self.names[statement.targets[0].id] = self.value(statement.value)
            elif isinstance(statement, ast.Expr) and isinstance(statement.value, (ast.Call, ast.Constant)):
                self.value(statement.value)
            else:
                raise Failure(f"{file}: cannot read line {statement.lineno}")
        self.request = self.names["request"]

    def value(self, node):
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self.names[node.id]
            case ast.List() | ast.Tuple():
                values = [self.value(item) for item in node.elts]
                return values if isinstance(node, ast.List) else tuple(values)
            case ast.Dict():
                return {self.value(key): self.value(item) for key, item in zip(node.keys, node.values)}
            case ast.Call(func=ast.Name(id="uri")):
                return self.value(node.args[0])
            case ast.Call(func=ast.Name(id="Config")):
                return None
            case ast.Call(func=ast.Attribute(value=ast.Name(id="cfg"), attr="set")):
                name, setting = (self.value(argument) for argument in node.args)
                self.settings[name] = setting
                return None
            case ast.Call(func=ast.Attribute(attr="replace" | "encode" | "decode" as method)):
                return getattr(self.value(node.func.value), method)(*(self.value(argument) for argument in node.args))
        raise Failure(f"cannot read {ast.dump(node)[:200]}")


def bytes_of(file):
    """The request as bytes: in the file, line ends mean nothing and the two characters \\r are a CR."""
    data = file.read_bytes().replace(b"\n", b"")
    named = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0"}
    return re.sub(rb"\\(?:x([0-9A-Fa-f]{2})|([rnt0]))", lambda m: bytes.fromhex(m[1].decode()) if m[1] else named[m[2]], data)


# --- what Stint is told, and what it has to answer ----------------------------------------------------------------------
def settings_for(gunicorn):
    """Stint's settings for gunicorn's; those without a counterpart change nothing, and README.md says so."""
    chosen = DEFAULTS | {
        key: value for key, value in gunicorn.items() if not (key == "limit_request_field_size" and not value)
    }
    settings = {
        "http.max_request_line": f"{chosen['limit_request_line']}B",
        "http.max_header_fields": chosen["limit_request_fields"],
        "http.max_header_size": f"{max(chosen['limit_request_field_size'], 64)}B",  # 64: the smallest that Stint takes
    }
    if chosen.get("proxy_protocol"):
        settings |= {"proxy.protocol": True, "proxy.trusted": ["127.0.0.0/8"]}
    if chosen.get("forwarded_allow_ips") == "*":
        settings |= {"proxy.trusted": ["127.0.0.0/8"]}
    return settings


def expected_environ(request):
    """What WSGI makes of gunicorn's expectation: CGI names, repeated fields joined, the body's length in place of its
    transfer coding, and no name with an underscore."""
    raw = request["uri"]
    path, _, query = raw.partition("?")
    if not raw.startswith("/"):
        parts = urllib.parse.urlsplit(raw)
        path, query = parts.path, parts.query
    environ = {
        "REQUEST_METHOD": request["method"],
        "REQUEST_URI": raw,
        "PATH_INFO": urllib.parse.unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/%d.%d" % request["version"],
    }
    for name, value in request["headers"]:
        if name == "TRANSFER-ENCODING":
            environ["CONTENT_LENGTH"] = str(len(request["body"]))
            continue
        key = name.replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        joined = "; " if name == "COOKIE" else ", "
        environ[key] = environ[key] + joined + value if key in environ else value
    return environ


def is_cut(request):
    """Does the file end before the body does?"""
    return any(
        name == "CONTENT-LENGTH" and int(value) > len(request["body"]) for name, value in request["headers"] if value.isdigit()
    )


def differences(request, answer):
    """Names of what the application saw otherwise than expected."""
    seen = json.loads(answer.body)
    expected = expected_environ(request)
    told = {key: value for key, value in seen["environ"].items() if key in expected or key.startswith(("HTTP_", "CONTENT_"))}
    names = {key for key in expected.keys() | told.keys() if expected.get(key) != told.get(key)}
    body = request["body"] or b""
    if seen["body"].encode("latin-1") != body:
        names.add("the body")
    return sorted(names)


def with_host(data, requests):
    """A Host field for each expected HTTP/1.1 request that has none; the same bytes when there is nothing to add."""
    position = 0
    for request in requests:
        line = f"{request['method']} {request['uri']} HTTP/1.1\r\n".encode("latin-1")
        if request["version"] == (1, 1) and not any(name == "HOST" for name, _ in request["headers"]):
            position = data.upper().index(line.upper(), position) + len(line)
            data = data[:position] + HOST + data[position:]
    return data


def expecting_host(requests):
    return [
        (
            request | {"headers": [("HOST", "stint.example"), *request["headers"]]}
            if request["version"] == (1, 1) and not any(name == "HOST" for name, _ in request["headers"])
            else request
        )
        for request in requests
    ]


def pieces(data):
    yield "in one piece", [data]
    yield "line by line", re.findall(rb"[^\n]*\n|[^\n]+\Z", data)
    yield "byte by byte", [data[i : i + 1] for i in range(len(data))]


# --- sending ------------------------------------------------------------------------------------------------------------
def send(wire, parts):
    for part in parts:
        if not wire.send(part):
            return


def refusal(wire, answer):
    """The status of a refusal, which closes the connection and says nothing more."""
    expect("a refusal announces the close", answer.field("connection") == "close", answer)
    wire.send_end()
    expect("nothing comes after a refusal", not wire.rest(), wire.unread)
    return str(answer.status)


def outcome_of_valid(server, parts, requests):
    before = calls(server.port, server.greeting)
    with Wire(server.port) as wire:
        send(wire, parts)
        if is_cut(requests[-1]):
            wire.send_end()
        for number, request in enumerate(requests):
            answer = wire.answer(request["method"])
            if answer is None:
                outcome = "closed without an answer"
            elif answer.status >= 400:
                outcome = refusal(wire, answer)
            elif calls(server.port, server.greeting) == before:
                outcome = f"{answer.status} from Stint itself"
            else:
                wrong = differences(request, answer)
                outcome = f"served with another {', '.join(wrong)}" if wrong else ""
            if outcome:
                expect(
                    "no call for a refused request",
                    calls(server.port, server.greeting) == before + number + outcome.startswith("served"),
                    outcome,
                )
                return outcome + (f" to request {number + 1}" if number else "")
        wire.send_end()
        expect("nothing but the expected answers", not wire.rest(), wire.unread)
    expect(
        "one call for each request",
        calls(server.port, server.greeting) == before + len(requests),
        calls(server.port, server.greeting),
        before,
    )
    return "as expected"


def outcome_of_invalid(server, parts):
    before = calls(server.port, server.greeting)
    with Wire(server.port) as wire:
        send(wire, parts)
        wire.send_end()
        answer = wire.answer()
        if answer is None:
            outcome = "closed without an answer"
        elif answer.status >= 400:
            refusal(wire, answer)
            outcome = "refused"
        else:
            return "served"
    expect("no call for what is refused", calls(server.port, server.greeting) == before, outcome)
    return outcome


def in_every_manner(data, question):
    outcomes = {manner: question(parts) for manner, parts in pieces(data)}
    expect("the same verdict however the bytes come", len(set(outcomes.values())) == 1, outcomes)
    return outcomes["in one piece"]


def judge_valid(server, data, expectation):
    requests = expectation.request if isinstance(expectation.request, list) else [expectation.request]
    outcome = in_every_manner(data, lambda parts: outcome_of_valid(server, parts, requests))
    better = with_host(data, requests)
    if better != data:
        requests = expecting_host(requests)
        outcome += "; with Host " + in_every_manner(better, lambda parts: outcome_of_valid(server, parts, requests))
    return outcome


def judge_invalid(server, data):
    outcome = in_every_manner(data, lambda parts: outcome_of_invalid(server, parts))
    line = re.match(rb"(?:\r\n)*[^\r\n]*HTTP/1\.1\r\n", data)
    if line and not re.search(rb"\r\nhost:", data, re.IGNORECASE):
        better = data[: line.end()] + HOST + data[line.end() :]
        outcome = in_every_manner(better, lambda parts: outcome_of_invalid(server, parts))  # refused for what it is about
    return outcome


def main():
    suite = Suite(__doc__)
    files = sorted(suite.source("gunicorn").glob("tests/requests/*/*.http"))
    expect("gunicorn's request files are there", len(files) > 100, len(files))
    listed = Exceptions("gunicorn's request files")

    # One Stint for all files with the same settings.
    by_settings = {}
    for file in files:
        expectation = Expectation(file.with_suffix(".py"))
        settings = settings_for(expectation.settings)
        by_settings.setdefault(json.dumps(settings), []).append((file, expectation))

    for settings, cases in by_settings.items():
        with StintServer(suite.stint, "what_it_saw:application", settings=json.loads(settings)) as server:
            server.greeting = GREETING if '"proxy.protocol": true' in settings else b""
            for file, expectation in cases:
                name, valid = f"{file.parent.name}/{file.stem}", file.parent.name == "valid"
                if suite.only not in name:
                    continue
                with suite.case(name, listed) as case:
                    data = bytes_of(file)
                    if valid:
                        case.outcome = judge_valid(server, data, expectation)
                    else:
                        case.outcome = judge_invalid(server, data)
                    case.good = ("as expected", "400; with Host as expected") if valid else ("refused",)
    return suite.end(listed)


if __name__ == "__main__":
    sys.exit(main())
