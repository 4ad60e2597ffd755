"""Chromium on the demo site, as a person uses it: log in, write an entry, upload and fetch a file, watch a stream, look at
the admin's style; and afterwards nothing in the console, and no request that failed.

    browser_demo_site.py --stint build/release/stint --foreign build/foreign
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from foreign import Suite
from stint_server import HERE, StintServer, eventually, expect
from web_driver import Browser

SITE = HERE.parents[1] / "apps/demo_site"
PASSWORD = "the-browser's-own"


def log_in(browser, base):
    browser.open(f"{base}/admin/")
    expect("it asks for a login", "/admin/login/" in browser.ask("/url"), browser.ask("/url"))
    browser.type("#id_username", "demo")
    browser.type("#id_password", "wrong")
    browser.click("input[type=submit]")
    expect("a wrong password is refused", "Please enter the correct" in browser.text(), browser.text())
    browser.type("#id_password", PASSWORD)
    browser.click("input[type=submit]")
    expect("the right one opens the admin", browser.ask("/title").startswith("Site administration"), browser.ask("/title"))


def see_the_style(browser, base):
    colour = browser.run("return getComputedStyle(document.querySelector('#header')).backgroundColor")
    expect("the admin's style sheet is in force", colour not in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)"), colour)
    browser.open(f"{base}/")
    ground = browser.run("return getComputedStyle(document.body).backgroundColor")
    expect("so is the site's", ground in ("rgb(246, 243, 236)", "rgb(14, 26, 35)"), ground)
    width = browser.run("return document.querySelector('header img').naturalWidth")
    expect("its picture is there", width > 0, width)


def write_an_entry(browser, base):
    browser.open(f"{base}/")
    browser.type("input[name=title]", "Acht Glasen ✓ <b>&")
    browser.type("textarea[name=text]", "eine Zeile\nzwei Zeilen, 漢字")
    browser.click("main button")
    expect("it has a page", re.search(r"/entries/\d+/$", browser.ask("/url")), browser.ask("/url"))
    expect(
        "with what was written",
        "Acht Glasen ✓ <b>&" in browser.text() and "zwei Zeilen, 漢字" in browser.text(),
        browser.text(),
    )
    browser.open(f"{base}/")
    expect("and is in the book", "Acht Glasen ✓ <b>&" in browser.text(), browser.text())


def upload_a_file(browser, base):
    content = os.urandom(2 * 1024 * 1024)
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(content)
        file.flush()
        browser.open(f"{base}/files/")
        browser.type("input[type=file]", file.name)
        browser.click("main button")
        expect("it is listed", Path(file.name).name in browser.text(), browser.text())
    digest = hashlib.sha256(content).hexdigest()
    expect("what arrived is what was sent", digest in browser.text(), browser.text())
    script = """
        const done = arguments[arguments.length - 1];
        fetch(document.querySelector('main td a').href).then(answer => answer.arrayBuffer())
            .then(bytes => crypto.subtle.digest('SHA-256', bytes))
            .then(hash => done(Array.from(new Uint8Array(hash), byte => byte.toString(16).padStart(2, '0')).join('')),
                  error => done(String(error)))"""
    fetched = browser.say("/execute/async", script=script, args=[])
    expect("and what comes back", fetched == digest, fetched, digest)


def watch_a_stream(browser, base):
    browser.open(f"{base}/stream/")
    lines = "return document.querySelector('iframe').contentDocument.body.innerText"
    eventually("the twentieth line", lambda: "line 20 of 20" in browser.run(lines))
    expect("all lines before it", browser.run(lines).count("line ") >= 20, browser.run(lines))


def many_requests_of_a_page(browser, base):
    """Sixty requests that a page makes at once, over the browser's few connections."""
    browser.open(f"{base}/worker/")
    script = """
        const done = arguments[arguments.length - 1];
        Promise.all(Array.from({length: 60}, (_, n) => fetch(n % 2 ? '/worker.json' : '/static/logbook/style.css?' + n)
            .then(answer => answer.text().then(text => [answer.status, text.length]))))
            .then(done, error => done(String(error)))"""
    told = browser.say("/execute/async", script=script, args=[])
    expect("sixty answers", len(told) == 60 and all(status == 200 and size for status, size in told), told)


def log_out(browser, base):
    browser.open(f"{base}/")
    browser.click("header form button")
    browser.open(f"{base}/")
    expect("nobody is logged in", "To write into the book, log in" in browser.text(), browser.text())


def console_and_network(browser, base):
    """Every request was answered, none with an error, and nothing was said in the console."""
    console = [entry for entry in browser.log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    expect("the console is quiet", not console, console)
    urls, answers, errors = {}, {}, []  # of this site; what a browser asks the world when it starts is its own
    for entry in browser.log("performance"):
        message = json.loads(entry["message"])["message"]
        kind, told = message["method"], message["params"]
        if kind == "Network.requestWillBeSent":
            urls[told["requestId"]] = told["request"]["url"]
        if kind == "Network.responseReceived" and told["response"]["url"].startswith(base):
            answers[told["requestId"]] = (told["response"]["status"], told["response"]["protocol"], told["response"]["url"])
        if kind == "Network.loadingFailed" and urls.get(told["requestId"], "").startswith(base):
            errors.append((urls[told["requestId"]], told))
    expect("no request failed", not errors, errors)
    expect("there were many answers", len(answers) > 80, len(answers))
    bad = [answer for answer in answers.values() if answer[0] >= 400 or answer[1] != "http/1.1"]
    expect("none with an error", not bad, bad)


STORIES = [log_in, see_the_style, write_an_entry, upload_a_file, watch_a_stream, many_requests_of_a_page]


def main():
    suite = Suite(__doc__)
    with tempfile.TemporaryDirectory(prefix="stint-browser-") as folder:
        data = Path(folder, "data")
        env = {"DJANGO_SETTINGS_MODULE": "demo_site.settings", "DEMO_DATA": str(data)}
        prepare = [suite.venv / "bin/python", "manage.py", "prepare_demo", "-v0", "--password", PASSWORD]
        subprocess.run(prepare, cwd=SITE, env=os.environ | env, check=True)
        tail = f'[[static]]\nurl = "/static/"\nroot = "{data}/static"\n'
        with StintServer(
            suite.stint, "demo_site.wsgi:application", directory=SITE, venv=suite.venv, env=env, workers=2, tail=tail
        ) as server, Browser() as browser:  # fmt: skip
            print(browser.version, flush=True)
            base = f"http://127.0.0.1:{server.port}"
            for story in STORIES:
                suite.tell("chromium: " + story.__name__.replace("_", " "), lambda: story(browser, base))
            browser.open(f"{base}/")
            browser.screenshot(suite.folder / "demo_site.png")
            suite.tell("chromium: log out", lambda: log_out(browser, base))
            suite.tell("chromium: console and network", lambda: console_and_network(browser, base))
            print(f"{suite.folder}/demo_site.png shows the log book", flush=True)
    return suite.end()


if __name__ == "__main__":
    sys.exit(main())
