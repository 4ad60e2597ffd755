"""What soak.py, hand_over.py and slow_clients.py share: servers of two and more workers, the strict client beside them, reports added up."""

import argparse
import json
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import run

FAILURES = ["refused", "resets", "new_resets", "early_closes", "truncated", "malformed", "wrong_status", "wrong_body",
            "timeouts"]  # fmt: skip
COUNTS = ["answers", "failures", "tolerated", "idle_closes", "announced_closes", "resent", "connections_opened", *FAILURES]

# Waiting as for a database, so that a worker's replacement starts beside calls and not instead of them.
STINT_TOML = """listen = ["127.0.0.1:{port}", "unix:{folder}/site.sock"]

[app]
module = "hand_over:application"
directory = {apps}

[app.workers]
count = {workers}

[app.recycle]
{recycle}

[control]
socket = {control}

[log]
access = ""
"""


def page(us, kib=0, seed=0, leak=0):
    """Options of the strict client: a path of apps/hand_over.py, and the body that has to come."""
    body = (f"{seed} " * (kib * 1024))[: kib * 1024] if kib else "Hello, World!"
    return ["--path", f"/?us={us}&kib={kib}&seed={seed}&leak={leak}", "--body", body]


class Report:
    """One or more reports of the strict client, added up."""

    def __init__(self):
        self.counts = Counter()
        self.latencies = Counter()
        self.statuses = Counter()
        self.workers = set()
        self.longest_gap = 0.0  # milliseconds
        self.most_workers_on_a_connection = 0
        self.examples = []

    def add(self, told):
        self.counts.update({name: told[name] for name in COUNTS})
        self.latencies.update({int(us): count for us, count in told["latencies_us"].items()})
        self.statuses.update({int(status): count for status, count in told["answers_by_status"].items()})
        self.workers |= {int(pid) for pid in told["answers_by_worker"]}
        self.longest_gap = max(self.longest_gap, told["longest_gap_us"] / 1000)
        self.most_workers_on_a_connection = max(self.most_workers_on_a_connection, told["most_workers_on_a_connection"])
        self.examples = (self.examples + told["examples"])[:10]

    def __getitem__(self, name):
        return self.counts[name]

    def percentile(self, share):
        """Milliseconds."""
        left = share * self.latencies.total()
        for us, count in sorted(self.latencies.items()):
            left -= count
            if left <= 0:
                return us / 1000
        return 0.0

    def failures_by_kind(self):
        """And what statuses they were, if that is what was wrong."""
        kinds = [f"{self[name]} {name.replace('_', ' ')}" for name in FAILURES if self[name]]
        wrong = ", ".join(f"{count} × {status}" for status, count in sorted(self.statuses.items()) if status != 200)
        return ", ".join(kinds).replace("wrong status", f"wrong status: {wrong}") or "0"


def start_client(client, address, *options):
    return subprocess.Popen(
        [client, address, *map(str, options)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )


def report_of(process):
    told, _ = process.communicate()
    if process.returncode not in (0, 1):
        raise RuntimeError(f"the strict client ended with {process.returncode}")
    return json.loads(told)


def load(client, address, *options):
    return report_of(start_client(client, address, *options))


class Running(run.Running):
    """run.Running with apps/hand_over.py on several workers, and a unix socket where the server is Stint."""

    def __init__(self, server, folder, workers, recycle=""):
        self.port = run.free_port()
        self.folder = folder
        (folder / "stint.toml").write_text(
            STINT_TOML.format(
                port=self.port,
                folder=folder,
                apps=json.dumps(str(run.APPS)),
                control=json.dumps(str(folder / "control.sock")),
                workers=workers,
                recycle=recycle,
            )
        )
        values = {"python": run.VENV / "bin/python", "port": self.port, "folder": folder}
        self.start([str(part).format_map(values) for part in server.command], folder / f"{server.name}.log")

    def start(self, command, log, folder=run.APPS):
        self.log = log
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def workers(self, client):
        """Pids of the workers that answer."""
        told = load(client, self.address, "--requests", 400, "--connections", 32, "--path", "/?us=2000")
        return sorted(map(int, told["answers_by_worker"]))


def control(stint, folder, *command):
    done = subprocess.run(
        [stint, *command, "--socket", folder / "control.sock"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return done.stdout


def ready_workers(stint, folder):
    """Pids, from `stint status`."""
    try:
        workers = json.loads(control(stint, folder, "status", "--json"))["pool"]["workers"]
    except ValueError:
        return []
    return [worker["pid"] for worker in workers if worker["state"] == "ready"]


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def comparison_arguments(doc, seconds=None):
    """The command line of a comparison with other servers: its parser, and the options. `seconds`: what --seconds is else."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stint", type=Path, default=run.ROOT / "build/release/stint")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="names, separated by commas")
    if seconds:
        parser.add_argument("--seconds", type=int, default=seconds, help="of each measurement")
    options = parser.parse_args()
    if options.rounds < 1 or (seconds and options.seconds < 1):
        parser.error("there is at least 1 round, and 1 second")
    options.stint = options.stint.absolute()
    return parser, options


def find_client(stint, name="stint-strict-client"):
    """The load clients are built beside stint."""
    client = Path(stint).with_name(name)
    if not os.access(client, os.X_OK):
        raise SystemExit(f"{client} is not there; ./dev build makes it")
    return client
