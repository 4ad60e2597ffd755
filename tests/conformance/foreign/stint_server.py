"""`stint serve` for the tests of others: started with settings written for it, found by its log, stopped, and looked
after: its end is part of every test here."""

import ctypes
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "support"))
from expectation import PATIENCE, Failure, eventually, expect  # noqa: E402, F401 — the suites have them from here
from session import kill_session, processes_of_session  # noqa: E402


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(str(value), ensure_ascii=False)


PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


def end_with_parent():
    """In the child: a test that is killed, by ctest's time-out for one, leaves no server behind."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class StintServer:
    """One running Stint in a folder of its own. A context manager: leaving it stops the server and expects a clean end.

    `settings` are dotted keys beyond the application's own ({"http.max_body": "1MiB"}), `tail` is TOML as it is.
    """

    def __init__(self, stint, module, directory=HERE / "apps", venv=None, env=None, workers=1, settings=None, tail=""):
        self.folder = Path(tempfile.mkdtemp(prefix="stint-foreign-"))
        self.log_file, self.access_file = self.folder / "stint.log", self.folder / "access.log"
        self.unix_path = self.folder / "site.sock"
        self.port = None
        keys = {
            "listen": ["127.0.0.1:0", f"unix:{self.unix_path}"],
            "app.module": module,
            "app.directory": directory,
            "app.workers.count": workers,
            "control.socket": self.folder / "control.sock",
            "log.access": self.access_file,
        }
        if venv:
            keys["app.venv"] = venv
        env = (env or {}) | self.environment()
        if env:
            keys["app.env"] = env
        keys.update(settings or {})
        file = self.folder / "stint.toml"
        file.write_text("".join(f"{key} = {toml(value)}\n" for key, value in keys.items()) + tail)
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [stint, "serve", "-c", file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    def environment(self):
        """What the workers' environment has beyond the caller's wish."""
        return {}

    def __enter__(self):
        try:
            self.port = eventually("a line 'serving … listen=127.0.0.1:PORT' in the log", self._announced)
        except BaseException:
            self.kill()
            self.forget()
            raise
        return self

    def __exit__(self, kind, value, traceback):
        try:
            if kind is None:
                self.stop()
            elif issubclass(kind, Exception):
                print(f"--- Stint's log\n{self.log()[-4000:]}", flush=True)
        finally:
            self.kill()
            self.forget()

    def _announced(self):
        line = re.search(r'\bserving\b.*\blisten="?127\.0\.0\.1:(\d+)', self.log())
        expect("the server runs until it is told to stop", line or self.process.poll() is None, self.log()[-600:])
        return line and int(line[1])

    def log(self):
        return self.log_file.read_text(errors="replace")

    def processes(self):
        return processes_of_session(self.process.pid)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        expect("SIGTERM ends Stint with status 0", status == 0, status, self.log()[-2000:])
        eventually("no process is left", lambda: not self.processes())
        expect("no socket file is left", not self.unix_path.exists(), sorted(p.name for p in self.folder.iterdir()))
        died = re.search(r".*\bworker died\b.*", self.log())
        expect("no worker died", not died, died and died[0])

    def kill(self):
        kill_session(self.process.pid)
        self.process.wait(PATIENCE)

    def forget(self):
        shutil.rmtree(self.folder, ignore_errors=True)
