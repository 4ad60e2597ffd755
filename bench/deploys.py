"""What reload.py and soak_reloads.py share: a site whose code is deployed again and again, and three kinds of strict
client beside it, whose answers say which version gave them."""

import itertools
import shutil
import subprocess

import run
import strict

BROKEN = {
    "import error": "import no_such_module_of_ours\n",
    "syntax error": "def VERSION(:\n",
    "crash when imported": "import os\nos.kill(os.getpid(), 11)\n",
    "end soon after the start": (
        "import os, threading\nVERSION = 'ends soon'\nthreading.Timer(0.05, os._exit, [7]).start()\n"
    ),
}
_sizes = itertools.count()
CLIENTS = {
    "kept-alive": ["--connections", 8],
    "pipelined": ["--connections", 2, "--pipeline", 4],
    "new connections": ["--connections", 4, "--per-connection", 1],
}
# Together at most a thousand requests a second, which leaves processor time to a generation that starts.
PAUSE_MS = 20


DJANGO = run.ROOT / "tests/apps/demo_site/requirements.txt"


def install_django():
    """Its version."""
    python = run.make_venv()
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q", "--require-hashes", "-r", DJANGO]
    subprocess.run(pip, check=True, stdin=subprocess.DEVNULL)
    told = subprocess.run([python, "-m", "django", "--version"], check=True, capture_output=True, text=True).stdout
    return told.strip()


def make_site(folder):
    # Apache's daemons run as another user.
    folder.chmod(0o755)
    shutil.copy(run.APPS / "versioned_site.py", folder)
    deploy(folder, 1)


def write(folder, text):
    """In one step: no import sees half of it. Of another size each time, since a second's .pyc would count as current."""
    draft = folder / "version.py.new"
    draft.write_text(text + "#" * next(_sizes) + "\n")
    draft.rename(folder / "version.py")


def deploy(folder, version):
    write(folder, f"VERSION = {version}\n")


class Clients:
    """All three kinds, shared out over the addresses, from now until report()."""

    def __init__(self, client, addresses, leave_out=()):
        always = ["--requests", 10**9, "--seconds", 3600, "--timeout", 10_000, "--pause", PAUSE_MS * len(addresses)]
        self.processes = [
            strict.start_client(client, address, *always, *options)
            for address in addresses
            for kind, options in CLIENTS.items()
            if kind not in leave_out
        ]

    def report(self):
        for process in self.processes:
            process.terminate()
        report = Report()
        for process in self.processes:
            report.add(strict.report_of(process))
        return report

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


class Report(strict.Report):
    """And which version answered when, in seconds of time.monotonic()."""

    def __init__(self):
        super().__init__()
        self.first_answer = {}  # the first that came of each version
        self.last_request = {}  # when the newest request was sent that each version answered

    def add(self, told):
        super().add(told)
        for version, its in told["answers_by_version"].items():
            first, last = its["first_answer_at_us"] / 1e6, its["last_request_at_us"] / 1e6
            self.first_answer[version] = min(first, self.first_answer.get(version, first))
            self.last_request[version] = max(last, self.last_request.get(version, last))

    def add_up(self, other):
        for mine, its in ((self.counts, other.counts), (self.latencies, other.latencies), (self.statuses, other.statuses)):
            mine.update(its)
        self.longest_gap = max(self.longest_gap, other.longest_gap)
        self.examples = (self.examples + other.examples)[:10]
