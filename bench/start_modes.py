#!/usr/bin/env python3
"""Workers that start by themselves beside workers that are forked: memory of a Django site, and how fast a killed worker
is replaced.

    bench/start_modes.py --stint build/release/stint [--rounds N] [--only NAME,…]

Four workers serve the demo site (tests/apps/demo_site). Each round starts every server, has it answer mixed requests
(pages from templates and the database, the admin's login, JSON, a stream), and adds up the proportional set size (Pss
of /proc/PID/smaps_rollup) of all its processes: supervisor, workers, keepers and zygote. Then workers of Stint are
killed (-9) one after the other; the time is from the kill to the line "worker ready" of the log. Compare the ratios of a
round; the absolute figures are this machine's. Prints Markdown. Standard library only; Django and the other servers are
installed into build/bench-venv.
"""

import concurrent.futures
import datetime
import http.client
import json
import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import deploys
import run
import strict

SITE = run.ROOT / "tests/apps/demo_site"
WORKERS = 4
PAGES = ["/", "/worker/", "/admin/login/", "/worker.json", "/stream/lines/?lines=3&pause=0"]
# Python 3.11 writes into code that it has run some times, so that pages are shared only when that is done before the fork.
WARMUPS = 10
REQUESTS = 2000
KILLS = 10

STINT_TOML = """listen = ["127.0.0.1:{port}"]
[app]
module = "demo_site.wsgi:application"
directory = {site}
venv = {venv}
[app.workers]
count = {workers}
start = "{start}"
[app.warmup]
requests = {warmup}
[control]
socket = {control}
[log]
access = ""
"""


@dataclass
class Mode(run.Server):
    start = ""  # Stint's app.workers.start
    memory: list = field(default_factory=list)  # MiB, one for each round
    parts: list = field(default_factory=list)  # of the last round: [(what, MiB)]
    replaced: list = field(default_factory=list)  # ms, one for each kill


# Both have one process; four of them are forked from one that has imported the application, or import it each.
FORKED = """import os
from demo_site.wsgi import application
{listen}
for _ in range({workers} - 1):
    if os.fork() == 0:
        break
{run}
"""


def peers():
    """(name, command, setting, pin)."""
    gunicorn = f"{{python}} -m gunicorn --bind 127.0.0.1:{{port}} --workers {WORKERS} --log-level warning"
    uwsgi = f"{{venv}}/bin/uwsgi --http-socket 127.0.0.1:{{port}} --master --die-on-term --processes {WORKERS} --disable-logging"
    uwsgi += f" --home {{venv}} --pythonpath {SITE}"
    for setting in ("", " --preload"):
        yield f"gunicorn{setting}", f"{gunicorn}{setting} demo_site.wsgi:application", f"sync, --workers {WORKERS}{setting}", "gunicorn==27.0.1"
    for setting in ("", " --lazy-apps"):
        yield f"uWSGI{setting}", f"{uwsgi}{setting} --module demo_site.wsgi:application", f"--master --processes {WORKERS}{setting}", "uwsgi==2.0.31"
    yield (
        "granian",
        f"{{python}} -m granian --interface wsgi --host 127.0.0.1 --port {{port}} --workers {WORKERS} --http 1 --no-ws"
        " --log-level warning demo_site.wsgi:application",
        f"--workers {WORKERS}",
        "granian==2.8.7",
    )
    yield (
        "mod_wsgi",
        f"{{venv}}/bin/mod_wsgi-express start-server --port {{port}} --processes {WORKERS} --threads 1 --server-root {{folder}}/httpd"
        " --httpd-executable /usr/sbin/apache2 --locale C.UTF-8 --user nobody --group nogroup"
        f" --working-directory {SITE} --application-type module --log-to-terminal demo_site.wsgi",
        f"mod_wsgi-express, --processes {WORKERS} --threads 1",
        "mod_wsgi==6.1.1",
    )
    forked = FORKED.format(
        workers=WORKERS,
        listen="import bjoern; bjoern.listen(application, '127.0.0.1', {port})",
        run="bjoern.run()",
    )
    yield "bjoern", f"{{python}} -c {shlex.quote(forked)}", f"forked {WORKERS - 1} times after the import", "bjoern==3.2.2"
    forked = FORKED.format(
        workers=WORKERS,
        listen="import fastpysgi",
        run="fastpysgi.run(application, '127.0.0.1', {port})",
    )
    yield "fastpysgi", f"{{python}} -c {shlex.quote(forked)}", f"forked {WORKERS - 1} times after the import", "fastpysgi==0.6"


def modes(stint):
    made = []
    for start in ("fresh", "fork"):
        mode = Mode(f"stint {start}", [stint, "serve", "-c", "{folder}/stint.toml"], f'start = "{start}"')
        mode.start = start
        made.append(mode)
    return made + [Mode(name, shlex.split(command), setting, pin=pin) for name, command, setting, pin in peers()]


class Running(strict.Running):
    def __init__(self, mode, folder):
        self.port = run.free_port()
        self.folder = folder
        (folder / "stint.toml").write_text(
            STINT_TOML.format(
                port=self.port,
                site=json.dumps(str(SITE)),
                venv=json.dumps(str(run.VENV)),
                workers=WORKERS,
                start=mode.start,
                warmup=json.dumps(PAGES * WARMUPS),
                control=json.dumps(str(folder / "control.sock")),
            )
        )
        values = {"python": run.VENV / "bin/python", "venv": run.VENV, "port": self.port, "folder": folder}
        self.start([str(part).format_map(values) for part in mode.command], folder / "server.log", SITE)

    def wait_until_it_answers(self):
        def answers():
            if self.process.poll() is not None:
                raise run.Unusable(f"ended: {self.log.read_text(errors='replace')[-400:]}")
            try:
                return self.get(["/"]) == 1
            except OSError:
                return False

        if not strict.wait_until(answers):
            raise run.Unusable(f"does not answer: {self.log.read_text(errors='replace')[-400:]}")

    def get(self, paths):
        """Over one connection, or as many as the server wants; how many were answered as they should. Some close theirs
        without a word: that is not what is measured here, so they are asked again."""
        good = 0
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        for path in paths:
            try:
                answer = self.answer(connection, path)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                connection.close()
                answer = self.answer(connection, path)
            good += answer.status == 200
        connection.close()
        return good

    @staticmethod
    def answer(connection, path):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer

    def answer_mixed_requests(self, count=REQUESTS):
        """Ten on a connection, so that every worker has its part."""
        batches = [[PAGES[(batch + i) % len(PAGES)] for i in range(10)] for batch in range(count // 10)]
        with concurrent.futures.ThreadPoolExecutor(8) as clients:
            good = sum(clients.map(self.get, batches))
        if good != 10 * len(batches):
            raise run.Unusable(f"{10 * len(batches) - good} of {10 * len(batches)} requests were not answered 200")

    def memory(self):
        """(what, MiB) of each process."""
        for pid, _ in self.processes():
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # gone meanwhile
            kind = re.match(r"stint: (\w+)", title)
            yield kind[1] if kind else "process", int(re.search(r"^Pss:\s*(\d+)", rollup, re.M)[1]) / 1024


def ready_at(log, pid):
    """The time of the line that says so, as seconds since the epoch; None: there is none yet."""
    line = re.search(rf"^(\S+ \S+) info .*: worker ready .* pid={pid} ", log.read_text(errors="replace"), re.M)
    return line and datetime.datetime.fromisoformat(line[1]).timestamp()


def kill_workers(mode, running, stint):
    for _ in range(KILLS):
        # One that has answered: a worker that dies before that is taken for one that cannot start, and waited with.
        running.answer_mixed_requests(400)
        before = strict.ready_workers(stint, running.folder)
        killed_at = time.time()
        os.kill(before[0], signal.SIGKILL)
        if not strict.wait_until(lambda: set(strict.ready_workers(stint, running.folder)) - set(before)):
            raise run.Unusable("a killed worker was not replaced")
        heir = (set(strict.ready_workers(stint, running.folder)) - set(before)).pop()
        mode.replaced.append((ready_at(running.log, heir) - killed_at) * 1000)


def measure(mode, stint, data):
    with tempfile.TemporaryDirectory(prefix="stint-bench-") as folder:
        os.chmod(folder, 0o755)  # as that of the data
        os.environ["DEMO_DATA"] = str(data)
        running = Running(mode, Path(folder))
        try:
            if mode.start and not strict.wait_until(
                lambda: len(strict.ready_workers(stint, running.folder)) == WORKERS
            ):
                raise run.Unusable("not all workers became ready")
            running.answer_mixed_requests()
            mode.parts = list(running.memory())
            mode.memory.append(sum(size for _, size in mode.parts))
            if mode.start:
                kill_workers(mode, running, stint)
        finally:
            running.stop()


def parts_text(mode):
    sums = {}
    for kind, size in mode.parts:
        sums.setdefault(kind, []).append(size)
    return ", ".join(f"{len(sizes)} × {kind} {sum(sizes) / len(sizes):.1f}" for kind, sizes in sorted(sums.items()))


def table(measured):
    base = measured[0]
    yield f"| server | setting | Pss of all, MiB, median | min–max | × {base.name} | processes of the last round, MiB each | killed worker replaced, ms, median | min–max |"
    yield "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: |"
    for mode in measured:
        ratio = statistics.median(own / other for own, other in zip(mode.memory, base.memory))
        times = mode.replaced
        replaced = f"{statistics.median(times):.0f} | {min(times):.0f}–{max(times):.0f}" if times else "– | –"
        yield (
            f"| {mode.name} {mode.version} | {mode.setting} | {statistics.median(mode.memory):.1f}"
            f" | {min(mode.memory):.1f}–{max(mode.memory):.1f} | {ratio:.2f} | {parts_text(mode)} | {replaced} |"
        )


def main():
    parser, options = strict.comparison_arguments(__doc__)
    load_before = os.getloadavg()[0]
    django = deploys.install_django()
    taking_part, left_out = run.those_that_can(run.chosen(parser, modes(options.stint), options.only))
    with tempfile.TemporaryDirectory(prefix="stint-bench-site-") as data:
        os.environ["DEMO_DATA"] = data
        prepare = [run.VENV / "bin/python", SITE / "manage.py", "prepare_demo"]
        subprocess.run(prepare, check=True, capture_output=True, stdin=subprocess.DEVNULL, cwd=SITE)
        subprocess.run(["chmod", "-R", "a+rwX", data], check=True)  # mod_wsgi's workers are another user's
        for number in range(options.rounds):
            for mode in run.one_round(
                number, taking_part, left_out, lambda mode: measure(mode, options.stint, data)
            ):
                print(f"round {number + 1}: {mode.name} {mode.memory[-1]:.1f} MiB", file=sys.stderr, flush=True)
    if taking_part:
        print(f"- When: {datetime.date.today()}")
        print(f"- Machine: {run.machine()}; load average when it began {load_before:.2f}")
        print(f"- Django {django}; {WORKERS} workers, each page {WARMUPS} times in Stint's warm-up; {options.rounds} rounds, interleaved;")
        print(f"  memory after {REQUESTS:,} mixed requests; then {KILLS} kills a round")
        print()
        print("\n".join(table(taking_part)))
    for mode, why in left_out:
        print(f"\nLeft out: {mode.name}: {why}")
    return 0 if taking_part and not left_out else 1


if __name__ == "__main__":
    sys.exit(main())
