"""curl against Stint: each kind of request that curl makes of its own, with what curl says of the answer.

    client_curl.py --stint build/release/stint --foreign build/foreign
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from foreign import Suite
from stint_server import PATIENCE, StintServer, expect

FAILURE = "an error"  # whose number depends on curl's version
MIB = 1024 * 1024
STATIC = bytes(range(256)) * 400 + b"the end"


class Curl:
    """Runs curl as a person does. A string that begins with "/" is a path on the server; files are Paths."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        self.base = f"http://127.0.0.1:{server.port}"

    def __call__(self, *arguments, input=None, status=0):
        """One transfer: what curl's --write-out tells of it, with the body and what -v printed."""
        (told,) = self.transfers(*arguments, input=input, status=status)
        return told

    def transfers(self, *arguments, input=None, status=0):
        out = self.folder / "body"
        out.unlink(missing_ok=True)
        words = [self.base + word if isinstance(word, str) and word.startswith("/") else word for word in arguments]
        with open(out, "wb") as body:
            ran = subprocess.run(
                ["curl", "-q", "--silent", "--show-error", "--verbose", "--noproxy", "*", "--max-time", str(PATIENCE),
                 "--write-out", "%{stderr}\nTOLD %{json}\n", *words],
                input=input, stdin=subprocess.DEVNULL if input is None else None, stdout=body, stderr=subprocess.PIPE,
            )  # fmt: skip
        said = ran.stderr.decode("latin-1")
        ended_well = ran.returncode != 0 if status is FAILURE else ran.returncode == status
        expect(f"curl ends with {status}", ended_well, ran.returncode, said[-1500:])
        told = [json.loads(line[5:]) for line in said.splitlines() if line.startswith("TOLD {")]
        for transfer in told:
            transfer["body"], transfer["said"] = out.read_bytes(), said
        return told


def keep_alive(curl):
    """Four requests of several kinds, with bodies and without, on one connection."""
    told = curl.transfers("/hello", "/noise?size=300000", "/cookies?empty=1", "/missing")
    expect("all are answered", [t["http_code"] for t in told] == [200, 200, 204, 404], [t["http_code"] for t in told])
    expect("by HTTP/1.1", {t["http_version"] for t in told} == {"1.1"}, told[0]["http_version"])
    expect("on one connection", [t["num_connects"] for t in told] == [1, 0, 0, 0], [t["num_connects"] for t in told])


def one_connection_for_uploads(curl):
    """A body that the application leaves unread does not become the next request."""
    told = curl.transfers(
        "--data-binary", "x" * 70_000, "/unread", "--next", "--silent", "--write-out", "%{stderr}\nTOLD %{json}\n", "/hello",
    )  # fmt: skip
    expect("both are answered", [t["http_code"] for t in told] == [200, 200], [t["http_code"] for t in told])
    expect("with one body each", told[0]["body"] == b"Hello, World!" * 2, told[0]["body"])


def chunked_upload(curl):
    content = bytes(range(256)) * 4099  # longer than Stint keeps in memory
    told = curl("-T", "-", "-H", "Expect:", "/seen", input=content)
    expect("curl sent chunks", "> Transfer-Encoding: chunked" in told["said"], told["said"][:800])
    facts = json.loads(told["body"])
    expect("every byte arrives", facts["sha256"] == hashlib.sha256(content).hexdigest(), facts["size"], len(content))
    environ = facts["environ"]
    expect("the application knows the length", environ["CONTENT_LENGTH"] == str(len(content)), environ)
    expect("and nothing of the coding", "HTTP_TRANSFER_ENCODING" not in environ, environ)
    expect("the method is kept", environ["REQUEST_METHOD"] == "PUT", environ)


def upload_comes_back(curl):
    content = bytes(range(256)) * 4 * 1024
    told = curl("--data-binary", "@-", "-H", "Content-Type: application/x-noise", "/echo", input=content)
    expect("the same bytes come back", told["body"] == content, len(told["body"]))
    expect("with their type", told["content_type"] == "application/x-noise", told["content_type"])


def expect_100_continue(curl):
    told = curl("--data-binary", "@-", "-H", "Expect: 100-continue", "/seen", input=b"x" * (2 * MIB))
    expect("curl is told to go on, once", told["said"].count("< HTTP/1.1 100 Continue") == 1, told["said"][:1500])
    expect("and sends all", told["http_code"] == 200 and json.loads(told["body"])["size"] == 2 * MIB, told["http_code"])


def no_continue_for_what_is_refused(curl):
    for wish, fields in ("too large", ["Expect: 100-continue"]), ("another expectation", ["Expect: a-miracle"]):
        fields = [word for field in fields for word in ("-H", field)]
        content = b"x" * (20 * MIB if wish == "too large" else 1000)
        told = curl("--data-binary", "@-", *fields, "/seen", input=content)
        expected = 413 if wish == "too large" else 417
        expect(f"{wish} is answered {expected}", told["http_code"] == expected, told["http_code"])
        expect("without 100", "100 Continue" not in told["said"], told["said"][:1500])
        if wish == "too large":
            expect("and no byte of the body is sent", told["size_upload"] == 0, told["size_upload"])


def http_1_0(curl):
    for path in "/noise?size=200000", "/noise?size=200000&length=1", "/hello":
        told = curl("--http1.0", path)
        size = 13 if path == "/hello" else 200000
        expect(f"{path} is complete", len(told["body"]) == size, len(told["body"]))
        expect("no chunks", "transfer-encoding" not in told["said"].lower(), told["said"][:1500])
        expect("the close is announced", "< connection: close" in told["said"].lower(), told["said"][:1500])
    facts = json.loads(curl("--http1.0", "/seen")["body"])
    expect("the application sees the version", facts["environ"]["SERVER_PROTOCOL"] == "HTTP/1.0", facts)


def head(curl):
    for path in "/hello", "/noise?size=5000&length=1", "/noise?size=5000", "/static/noise.bin", "/missing":
        head, get = curl("--head", path), curl(path)
        expect(f"HEAD {path} is answered as GET", head["http_code"] == get["http_code"], head["http_code"], get["http_code"])
        expect("with the same type", head["content_type"] == get["content_type"], head["content_type"], get["content_type"])
        expect("without a body", head["size_download"] == 0, head["size_download"])
    length = f"content-length: {len(STATIC)}"
    expect("and with the length of a file", length in curl("--head", "/static/noise.bin")["said"].lower(), length)


def ranges(curl):
    parts = {"0-99": STATIC[:100], "500-": STATIC[500:], "-7": STATIC[-7:], "102399-102400": STATIC[102399:102401]}
    for asked, part in parts.items():
        told = curl("--range", asked, "/static/noise.bin")
        expect(f"range {asked} is answered 206", told["http_code"] == 206, told["http_code"])
        expect("with that part", told["body"] == part, told["body"][:100])
    told = curl("--range", "999999-", "/static/noise.bin")
    expect("beyond the end is 416", told["http_code"] == 416, told["http_code"])
    told = curl("--range", "0-9,20-29", "/static/noise.bin")
    expect(
        "several ranges: the whole file, as RFC 9110 14.2 permits",
        told["body"] == STATIC,
        told["http_code"],
        told["body"][:100],
    )


def resumed_download(curl):
    begun = curl.folder / "begun"
    begun.write_bytes(STATIC[:50_000])
    told = curl("--continue-at", "-", "--output", begun, "/static/noise.bin")
    expect("the rest is sent", told["http_code"] == 206 and told["size_download"] == len(STATIC) - 50_000, told["http_code"])
    expect("and fits", begun.read_bytes() == STATIC, begun.stat().st_size)


def conditions(curl):
    etag = curl.folder / "etag"
    first = curl("--etag-save", etag, "/static/noise.bin")
    expect("a file has an entity tag", first["http_code"] == 200 and etag.read_text().strip(), first["http_code"])
    again = curl("--etag-compare", etag, "/static/noise.bin")
    expect("it is not sent again", again["http_code"] == 304 and not again["body"], again["http_code"])
    told = curl("--time-cond", curl.server.static / "noise.bin", "/static/noise.bin")
    expect("nor by its time", told["http_code"] == 304, told["http_code"])


def large_upload(curl):
    """Twice the size that fits a machine's idea of a form, as a file and as a form's part; `http.max_body` is 16 MiB."""
    file = curl.folder / "large"
    file.write_bytes(bytes(range(256)) * 4096 * 12)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    facts = json.loads(curl("--upload-file", file, "/seen")["body"])
    expect("every byte of the file arrives", facts["sha256"] == digest, facts["size"])
    facts = json.loads(curl("--form", f"file=@{file}", "--form", "name=value", "/seen")["body"])
    expect(
        "and of the form",
        facts["size"] > 12 * MIB and facts["environ"]["CONTENT_TYPE"].startswith("multipart/form-data"),
        facts,
    )
    chunked = curl("-T", "-", "-H", "Expect:", "/seen", input=b"y" * (17 * MIB))
    expect("too large in chunks is answered 413", chunked["http_code"] == 413, chunked["http_code"])


def large_download(curl):
    told = curl("/noise?size=50000000")
    expected = (bytes(range(256)) * 256 * 763)[:50_000_000]
    expect("50 MB are complete", told["body"] == expected, len(told["body"]))


def redirects(curl):
    told = curl("--location", "--data-binary", "kept", "/redirect?status=307&left=3")
    facts = json.loads(told["body"])
    expect("four redirects are followed", told["num_redirects"] == 4, told["num_redirects"])
    expect("on one connection", told["num_connects"] == 1, told["num_connects"])
    expect("with method and body", facts["environ"]["REQUEST_METHOD"] == "POST" and facts["size"] == 4, facts)
    facts = json.loads(curl("--location", "--data-binary", "lost", "/redirect?status=303&left=0")["body"])
    expect("303 becomes GET", facts["environ"]["REQUEST_METHOD"] == "GET" and facts["size"] == 0, facts)


def cookie_jar(curl):
    jar = curl.folder / "jar"
    curl("--cookie-jar", jar, "/cookies")
    facts = json.loads(curl("--cookie", jar, "/seen")["body"])
    expect("both cookies come back", sorted(facts["environ"]["HTTP_COOKIE"].split("; ")) == ["one=1", "two=a b"], facts)


def unix_socket(curl):
    facts = json.loads(curl("--unix-socket", curl.server.unix_path, "http://site.example/seen?a=b")["body"])["environ"]
    expect("the host is the URL's", facts["HTTP_HOST"] == "site.example", facts)
    expect("so is the rest", (facts["PATH_INFO"], facts["QUERY_STRING"]) == ("/seen", "a=b"), facts)
    expect("the server has a name and a port", facts["SERVER_NAME"] and facts["SERVER_PORT"].isdigit(), facts)


def offered_http_2(curl):
    """curl asks for HTTP/2 by Upgrade, and goes on with HTTP/1.1 on the same connection."""
    told = curl("--http2", "/seen")
    expect("Upgrade was offered", "> Upgrade: h2c" in told["said"], told["said"][:1500])
    expect("HTTP/1.1 is served", (told["http_code"], told["http_version"]) == (200, "1.1"), told["http_code"])
    curl("--http2-prior-knowledge", "/hello", status=FAILURE)
    expect("the next one is served", curl("/hello")["body"] == b"Hello, World!")


def as_proxy(curl):
    """curl takes Stint for a proxy: the target is absolute, and Host agrees with it."""
    told = curl("--noproxy", "", "--proxy", curl.base, "http://site.example/seen?x=1")
    facts = json.loads(told["body"])["environ"]
    expect("the host is the target's", facts["HTTP_HOST"] == "site.example", facts)
    expect("the path is the target's", (facts["PATH_INFO"], facts["QUERY_STRING"]) == ("/seen", "x=1"), facts)
    told = curl("--noproxy", "", "--proxy", curl.base, "--proxytunnel", "http://site.example/seen", status=56)
    expect("a tunnel is refused", "405" in told["said"], told["said"][-1500:])


def odd_targets(curl):
    told = curl("--request", "OPTIONS", "--request-target", "*", "/")
    expect("OPTIONS * is answered", told["http_code"] == 200, told["http_code"])
    for path in "/static/../../etc/passwd", "/static/%2e%2e/stint.toml", "/static/..%2fstint.toml":
        told = curl("--path-as-is", path)
        expect(f"{path} gets nothing", told["http_code"] in (400, 403, 404), told["http_code"])
    facts = json.loads(curl("--path-as-is", "/seen?a=%20b&c=d%2Fe")["body"])["environ"]
    expect("a query is not decoded", facts["QUERY_STRING"] == "a=%20b&c=d%2Fe", facts)


def side_by_side(curl):
    told = curl.transfers("--parallel", "--parallel-immediate", "--parallel-max", "30", *["/noise?size=100000"] * 90)
    expect("all are answered", [t["http_code"] for t in told] == [200] * 90, [t["http_code"] for t in told])
    expect("completely", len(told[0]["body"]) == 90 * 100_000, len(told[0]["body"]))


def given_up(curl):
    """A client that leaves in the middle of an answer, or of a request, costs the others nothing."""
    curl("--max-time", "0.3", "/slowly?lines=20&pause=0.05", status=28)
    curl("--max-time", "0.3", "--limit-rate", "1000", "-T", "-", "/seen", input=b"x" * MIB, status=28)
    expect("the next one is served", curl("/hello")["body"] == b"Hello, World!")


STORIES = [
    keep_alive, one_connection_for_uploads, chunked_upload, upload_comes_back, expect_100_continue,
    no_continue_for_what_is_refused, http_1_0, head, ranges, resumed_download, conditions, large_upload, large_download,
    redirects, cookie_jar, unix_socket, offered_http_2, as_proxy, odd_targets, side_by_side, given_up,
]  # fmt: skip


def main():
    suite = Suite(__doc__)
    with tempfile.TemporaryDirectory(prefix="stint-curl-") as folder:
        static = Path(folder, "static")
        static.mkdir()
        (static / "noise.bin").write_bytes(STATIC)
        tail = f'[[static]]\nurl = "/static/"\nroot = "{static}"\n'
        with StintServer(
            suite.stint, "for_clients:application", workers=2, settings={"http.max_body": "16MiB"}, tail=tail
        ) as server:
            server.static = static
            curl = Curl(server, Path(folder))
            for story in STORIES:
                suite.tell("curl: " + story.__name__.replace("_", " "), lambda: story(curl))
    return suite.end()


if __name__ == "__main__":
    sys.exit(main())
