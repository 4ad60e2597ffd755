"""A headless Chromium, by the W3C's WebDriver protocol: JSON over HTTP to chromedriver. Only what the browser test says."""

import base64
import json
import re
import subprocess
import tempfile
import urllib.error
import urllib.request

from stint_server import PATIENCE, Failure, eventually

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the specification's name for a reference to an element
# As root there is no sandbox; the rest keeps the browser from asking the world about itself.
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1200,900",
]  # fmt: skip


class Browser:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="stint-chromium-")
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.session = None
        try:
            self._begin()
        except BaseException:
            self.end()
            raise

    def _begin(self):
        port = None
        while not port:
            line = self.driver.stdout.readline()
            if not line:
                raise Failure("chromedriver ends before it listens")
            port = re.search(r"started successfully on port (\d+)", line)
        self.base = f"http://127.0.0.1:{port[1]}"
        options = {"args": [*ARGUMENTS, f"--user-data-dir={self.folder.name}"]}
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        told = self._say("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self.session = f"/session/{told['sessionId']}"
        self.version = f"{told['capabilities']['browserName']} {told['capabilities']['browserVersion']}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.session:
            self._say("DELETE", self.session)
        self.driver.terminate()
        self.driver.communicate(timeout=PATIENCE)
        self.folder.cleanup()

    def _say(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise Failure(f"{method} {path}: {json.load(error)['value']['message'][:500]}") from None

    def say(self, path, **body):
        return self._say("POST", self.session + path, body)

    def ask(self, path):
        return self._say("GET", self.session + path)

    def open(self, url):
        self.say("/url", url=url)

    def run(self, script, *arguments):
        """The value of a JavaScript function's body."""
        return self.say("/execute/sync", script=script, args=list(arguments))

    def find(self, selector):
        return self.say("/element", using="css selector", value=selector)[ELEMENT]

    def type(self, selector, text):
        self.say(f"/element/{self.find(selector)}/value", text=text)

    def click(self, selector):
        """Clicks, and waits for the page that this leads to."""
        self.run("window.stintOldPage = true")
        self.say(f"/element/{self.find(selector)}/click")
        eventually(
            f"a new page after {selector}",
            lambda: self.run("return !window.stintOldPage && document.readyState === 'complete'"),
        )

    def text(self):
        return self.run("return document.body.innerText")

    def log(self, kind):
        """What came since it was last asked for: "browser" is the console, "performance" the network and more."""
        return self.say("/se/log", type=kind)

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.ask("/screenshot")))
