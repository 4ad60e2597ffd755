"""The demo site on the real binary, as a browser uses it: admin login with its style sheet, a session kept over pages, a
page from the database, 5 MB uploaded and fetched again, a stream, static files; then SIGTERM, and nothing is left.

    demo_site_story.py --stint build/release/stint --site tests/apps/demo_site

STINT_TEST_PYTHON_VENV is the virtual environment with Django. Standard library only.
"""

import argparse
import email.utils
import hashlib
import html
import http.client
import http.cookies
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))
from expectation import PATIENCE, Failure, eventually, expect  # noqa: E402
from session import kill_session, processes_of_session  # noqa: E402

SKIPPED = 77  # ctest's SKIP_RETURN_CODE
PASSWORD = "the-story's-own"


class Server:
    """`stint serve` in a session of its own, so that every process it ever starts can be found."""

    def __init__(self, stint, settings, folder):
        self.out, self.err = folder / "stdout.log", folder / "stderr.log"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                [stint, "serve", "-c", settings], stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )

    def port(self):
        def announced():
            log = self.err.read_text(errors="replace") + self.out.read_text(errors="replace")
            line = re.search(r'\bserving\b.*\blisten="?127\.0\.0\.1:(\d+)', log)
            expect("the server runs until it is told to stop", line or self.process.poll() is None, self.process.poll())
            return line and int(line[1])

        return eventually("a line 'serving … listen=127.0.0.1:PORT' in the log", announced)

    def processes(self):
        return processes_of_session(self.process.pid)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self):
        kill_session(self.process.pid)
        self.process.wait(PATIENCE)


class Browser:
    """One kept-alive connection, opened again only after an announced close. A reset is a failure, never retried."""

    def __init__(self, port):
        self.port, self.cookies, self.connection = port, {}, None

    def send(self, method, path, body=None, headers=()):
        """Sends a request; the answer's body is left to read."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            self.connection.auto_open = 0
            self.connection.connect()
        headers = dict(headers)
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie", []):
            for name, morsel in http.cookies.SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        if answer.will_close:
            self.connection = None
        return answer

    def fetch(self, method, path, body=None, headers=(), status=200):
        answer = self.send(method, path, body, headers)
        answer.body = answer.read()
        expect(f"{method} {path} is answered {status}", answer.status == status, answer.status, answer.body[:400])
        return answer

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def page(self, path):
        answer = self.fetch("GET", path)
        expect(f"{path} is HTML", answer.headers.get_content_type() == "text/html", answer.headers.items())
        return answer.body.decode()

    def submit(self, path, fields, status=302):
        """Posts a form of a page that was loaded before, with the page's CSRF token."""
        body = urllib.parse.urlencode(fields)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Referer": f"http://127.0.0.1:{self.port}{path}"}
        return self.fetch("POST", path, body, headers, status)


def csrf_token(page):
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    expect("the form has a CSRF token", token, page)
    return token[1]


def multipart(fields, name, filename, content):
    boundary = "stint-story-" + os.urandom(12).hex()
    parts = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    )
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return f"multipart/form-data; boundary={boundary}", parts + head.encode() + content + f"\r\n--{boundary}--\r\n".encode()


def login_with_style_sheet(browser):
    start = browser.fetch("GET", "/admin/", status=302).headers["Location"]
    expect("/admin/ asks for a login", start.startswith("/admin/login/"), start)
    page = browser.page(start)
    sheets = re.findall(r'<link[^>]*rel="stylesheet"[^>]*href="([^"]+)"', page)
    expect("the login page has style sheets", sheets, page)
    for sheet in sheets:
        answer = browser.fetch("GET", sheet)
        expect(f"{sheet} is a style sheet", answer.headers.get_content_type() == "text/css", answer.headers.items())
        expect(f"{sheet} has rules", b"{" in answer.body, answer.body)

    form = {"username": "demo", "next": "/admin/", "csrfmiddlewaretoken": csrf_token(page)}
    refused = browser.submit("/admin/login/", form | {"password": "wrong"}, status=200)
    expect("a wrong password is refused", "sessionid" not in browser.cookies, refused.headers.items())
    browser.submit("/admin/login/", form | {"password": PASSWORD, "csrfmiddlewaretoken": "x" * 64}, status=403)
    browser.submit("/admin/login/", form | {"password": PASSWORD})
    expect("a login makes a session", "sessionid" in browser.cookies, browser.cookies)


def session_over_pages(browser):
    for path in ["/admin/", "/admin/logbook/entry/", "/admin/auth/user/", "/", "/files/", "/worker/"] * 2:
        expect(f"{path} knows who is logged in", "demo" in browser.page(path) and "logout" in browser.page(path), path)
    stranger = Browser(browser.port)
    expect("another visitor is not logged in", "logout" not in stranger.page("/"))
    stranger.fetch("GET", "/files/", status=302)
    stranger.close()


def database_page(browser):
    title, text = "Fünf Glasen ✓ <b>&amp;", "erste Zeile\nzweite Zeile, 漢字"
    token = csrf_token(browser.page("/"))
    path = browser.submit("/", {"title": title, "text": text, "csrfmiddlewaretoken": token}).headers["Location"]
    for page in browser.page(path), browser.page("/"):
        expect("the entry is shown, escaped", html.escape(title) in page and "zweite Zeile, 漢字" in page, page)
    browser.fetch("GET", "/entries/999999/", status=404)


def upload_and_download(browser):
    content = os.urandom(5 * 1024 * 1024)
    token = csrf_token(browser.page("/files/"))
    kind, body = multipart({"csrfmiddlewaretoken": token}, "file", "5 MB of noise.bin", content)
    browser.fetch("POST", "/files/", body, {"Content-Type": kind}, status=302)
    page = browser.page("/files/")
    row = re.search(r'<a href="(/files/\d+/)">5 MB of noise.bin</a>.*?size">(\d+)<.*?sha256">([0-9a-f]{64})<', page)
    expect("the file is listed", row, page)
    expect("its size is right", int(row[2]) == len(content), row[2])
    expect("its checksum is that of what was sent", row[3] == hashlib.sha256(content).hexdigest(), row[3])

    answer = browser.fetch("GET", row[1])
    expect("the download has the length of the file", answer.headers["Content-Length"] == str(len(content)), answer.headers.items())
    expect("the download is a file to save", "5 MB of noise.bin" in answer.headers["Content-Disposition"], answer.headers.items())
    expect("the same bytes come back", answer.body == content, len(answer.body))
    head = browser.fetch("HEAD", row[1])
    expect("HEAD has the length and no body", head.headers["Content-Length"] == str(len(content)) and not head.body, head.body)


def stream(browser):
    """Each line says when it was made: the first one has to arrive before the last one is made. A machine that stands
    still for all those two seconds would look like a server that holds lines back, so three tries."""
    for _ in range(3):
        answer = browser.send("GET", "/stream/lines/?lines=9&pause=0.25")
        first = answer.readline()
        arrived = time.time()
        rest = answer.read().decode().splitlines()
        expect("the stream has its nine lines", first.startswith(b"line 1 of 9 ") and len(rest) == 8, first, rest)
        if arrived < float(re.search(r"made=([\d.]+)", rest[-1])[1]):
            return
    raise Failure("the first line of a stream arrived only after the last one was made")


def static_files(browser, site):
    path, source = "/static/logbook/style.css", (site / "logbook/static/logbook/style.css").read_bytes()
    whole = browser.fetch("GET", path)
    expect("the file is served as it is", whole.body == source, whole.body[:100])
    etag, modified = whole.headers["ETag"], whole.headers["Last-Modified"]
    expect("it has validators", etag and email.utils.parsedate(modified or ""), whole.headers.items())

    for name, value in ("If-None-Match", etag), ("If-Modified-Since", modified):
        answer = browser.fetch("GET", path, headers={name: value}, status=304)
        expect(f"304 for {name} has no body", not answer.body, answer.body)
    browser.fetch("GET", path, headers={"If-None-Match": '"another"'})

    for asked, part in ("10-109", source[10:110]), ("-7", source[-7:]), (f"{len(source) - 3}-", source[-3:]):
        answer = browser.fetch("GET", path, headers={"Range": f"bytes={asked}"}, status=206)
        expect(f"bytes={asked} is that part", answer.body == part, answer.body)
        expect("it says so", answer.headers["Content-Range"].endswith(f"/{len(source)}"), answer.headers.items())
    browser.fetch("GET", path, headers={"Range": f"bytes={len(source)}-"}, status=416)
    expect("HEAD has no body", not browser.fetch("HEAD", path).body)
    for outside in "/static/../secret_key", "/static/%2e%2e/secret_key", "/static/..%2fdb.sqlite3":
        answer = browser.send("GET", outside)
        answer.read()
        expect(f"{outside} is refused", answer.status in (400, 403, 404), answer.status)


def who_answered(browser):
    facts = json.loads(browser.fetch("GET", "/worker.json").body)
    expect("the worker is named", facts["worker"] is not None and facts["generation"] is not None, facts)
    expect("the request has an id", facts["request_id"], facts)


def toml(value):
    return json.dumps(str(value), ensure_ascii=False)


def prepare(site, venv, folder):
    """What ./dev demo does: data, user, collected static files, and the TOML."""
    environment = os.environ | {"DEMO_DATA": str(folder / "data"), "DJANGO_SETTINGS_MODULE": "demo_site.settings"}
    made = subprocess.run(
        [venv / "bin/python", "manage.py", "prepare_demo", "-v0", "--password", PASSWORD],
        cwd=site, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    expect("manage.py prepare_demo prepares the site", made.returncode == 0, made.stdout[-600:])
    settings = folder / "stint.toml"
    settings.write_text(
        f"""listen = ["127.0.0.1:0"]

[app]
module = "demo_site.wsgi:application"
directory = {toml(site)}
venv = {toml(venv)}
env = {{ DJANGO_SETTINGS_MODULE = "demo_site.settings", DEMO_DATA = {toml(folder / "data")} }}

[app.workers]
count = 2

[app.recycle]
max_requests = 1000

[[static]]
url = "/static/"
root = {toml(folder / "data/static")}

[control]
socket = {toml(folder / "control.sock")}
"""
    )
    return settings


def tell(server, site):
    browser = Browser(server.port())
    chapters = {
        "log in, with the style sheet": lambda: login_with_style_sheet(browser),
        "stay logged in over several pages": lambda: session_over_pages(browser),
        "write and read a page of the database": lambda: database_page(browser),
        "upload 5 MB and download them": lambda: upload_and_download(browser),
        "watch a stream": lambda: stream(browser),
        "fetch static files, again, and in part": lambda: static_files(browser, site),
        "see who answered": lambda: who_answered(browser),
    }
    for title, chapter in chapters.items():
        started = time.monotonic()
        chapter()
        print(f"ok  {title}  ({time.monotonic() - started:.2f} s)", flush=True)
    browser.close()


def end(server, folder):
    status = server.stop()
    expect("SIGTERM ends it with status 0", status == 0, status)
    eventually("no process is left", lambda: not server.processes())
    expect("no socket file is left", not (folder / "control.sock").exists(), sorted(p.name for p in folder.iterdir()))
    log = server.err.read_text(errors="replace")
    expect("no Python error was logged", "Traceback" not in log, log[log.find("Traceback") :])
    print("ok  stop, and leave nothing behind", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--stint", type=Path, required=True)
    arguments.add_argument("--site", type=Path, required=True)
    options = arguments.parse_args()
    venv = os.environ.get("STINT_TEST_PYTHON_VENV")
    if not venv:
        print("STINT_TEST_PYTHON_VENV is not set (./dev test makes a virtual environment and sets it)", file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else SKIPPED
    site, venv, stint = options.site.resolve(), Path(venv).absolute(), options.stint.resolve()

    folder = Path(tempfile.mkdtemp(prefix="stint-demo-"))
    server = None
    try:
        server = Server(stint, prepare(site, venv, folder), folder)
        tell(server, site)
        end(server, folder)
        return 0
    except (Failure, OSError, http.client.HTTPException, subprocess.TimeoutExpired) as failure:
        print(f"FAILED  {type(failure).__name__}: {failure}", file=sys.stderr)
        if server:
            print("processes:", server.processes(), file=sys.stderr)
            for log in server.out, server.err:
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}", file=sys.stderr)
        return 1
    finally:
        if server:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
