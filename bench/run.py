#!/usr/bin/env python3
"""Requests per second of a 13-byte hello, one worker, kept-alive connections: Stint beside other WSGI servers.

    bench/run.py --stint build/release/stint [--rounds N] [--seconds S] [--connections C] [--only NAME,…] [--before STINT]

All servers are measured in one run: in each round every server is started, warmed up, loaded with wrk for S seconds and
stopped, and each round begins with another server, so that what else the machine does falls on all alike. Compare the
ratios; the absolute figures are this machine's. Prints Markdown. Standard library only; the other servers are installed
into build/bench-venv, and one that cannot be installed is left out and named. --before is another build of Stint, in a
folder with its module: what has changed since then, in ratios of each round.
"""

import argparse
import datetime
import http.client
import json
import os
import platform
import re
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APPS = ROOT / "bench/apps"
VENV = ROOT / "build/bench-venv"
BODY = b"Hello, World!"
TICKS = os.sysconf("SC_CLK_TCK")
BEFORE = "stint before"


class Unusable(Exception):
    """A server that cannot take part; says why."""


@dataclass
class Server:
    name: str
    command: list  # {python}, {port} and {folder} are filled in
    setting: str  # what was chosen and why, for the table
    pin: str = ""  # what pip installs; empty: nothing to install
    version: str = ""
    rates: list = field(default_factory=list)  # requests per second, one for each round
    cpu: list = field(default_factory=list)  # microseconds of processor time a request
    errors: int = 0


def servers(stint):
    """One worker each; where there is a choice, the setting that took least processor time a request (bench/README.md)."""
    return [
        Server(
            "stint",
            [stint, "serve", "-c", "{folder}/stint.toml"],
            "count = 1, no access log",
        ),
        Server(
            "fastpysgi",
            ["{python}", "-c", "import fastpysgi, hello; fastpysgi.run(hello.application, '127.0.0.1', {port})"],
            "one process; it has no other",
            pin="fastpysgi==0.6",
        ),
        Server(
            "bjoern",
            ["{python}", "-c", "import bjoern, hello; bjoern.run(hello.application, '127.0.0.1', {port})"],
            "one process; it has no other",
            pin="bjoern==3.2.2",
        ),
        Server(
            "granian",
            shlex.split(
                "{python} -m granian --interface wsgi --host 127.0.0.1 --port {port} --workers 1 --blocking-threads 1"
                " --runtime-threads 1 --http 1 --no-ws --log-level warning hello:application"
            ),
            "1 blocking thread, 1 runtime thread, HTTP/1 only",
            pin="granian==2.8.7",
        ),
        Server(
            "gunicorn",
            shlex.split(
                "{python} -m gunicorn --bind 127.0.0.1:{port} --workers 1 --worker-class gthread --threads 1"
                " --keep-alive 75 --log-level warning hello:application"
            ),
            "gthread (sync keeps no connection alive), 1 thread",
            pin="gunicorn==27.0.1",
        ),
    ]


STINT_TOML = """listen = ["127.0.0.1:{port}"]

[app]
module = "hello:application"
directory = {apps}

[app.workers]
count = 1

[app.recycle]
max_requests = 0

[control]
socket = {control}

[log]
level = "warning"
access = ""
"""


def make_venv():
    """Its Python."""
    python = VENV / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True, stdin=subprocess.DEVNULL)
    return python


def install(server):
    """Puts the server into the virtual environment and learns its version."""
    python = make_venv()
    if server.pin:
        # Not from pip's cache: what was built there for another Python of this version embeds that one.
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q", "--no-cache-dir", server.pin]
        done = subprocess.run(pip, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
            # A compiler's own word says more than pip's last one.
            reason = [line for line in lines if "fatal error" in line] or lines[-1:] or ["it says nothing"]
            raise Unusable(f"pip could not install {server.pin}: {reason[0]}")
        server.version = server.pin.partition("==")[2]
    else:
        if not Path(server.command[0]).exists():
            raise Unusable(f"{server.command[0]} is not there; ./dev build makes it")
        told = subprocess.run([server.command[0], "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        server.version = (re.search(r"\d+\.\d+\S*", told.stdout) or ["?"])[0]


def chosen(parser, servers, names):
    """Those that --only names; all when it is absent."""
    if not names:
        return servers
    names = names.split(",")
    unknown = set(names) - {server.name for server in servers}
    if unknown:
        parser.error(f"unknown server: {', '.join(sorted(unknown))}")
    return [server for server in servers if server.name in names]


def those_that_can(servers):
    """(servers that are installed now, [(server, why it is left out)])."""
    taking_part, left_out = [], []
    for server in servers:
        try:
            install(server)
            taking_part.append(server)
        except Unusable as why:
            left_out.append((server, why))
    return taking_part, left_out


def one_round(number, taking_part, left_out, measure):
    """Measures each server, in another order each round; yields those that were. Moves the others to `left_out`."""
    start = number % max(len(taking_part), 1)
    for server in taking_part[start:] + taking_part[:start]:
        try:
            measure(server)
        except Unusable as why:
            left_out.append((server, why))
            taking_part[:] = [other for other in taking_part if other is not server]
            continue
        yield server


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Running:
    """A server in a session of its own, so that all its processes can be found, counted and ended."""

    def __init__(self, server, folder):
        self.port = free_port()
        (folder / "stint.toml").write_text(
            STINT_TOML.format(port=self.port, apps=json.dumps(str(APPS)), control=json.dumps(str(folder / "control.sock")))
        )
        values = {"python": VENV / "bin/python", "port": self.port, "folder": folder}
        command = [str(part).format_map(values) for part in server.command]
        self.log = folder / f"{server.name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, cwd=APPS, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def wait_until_it_answers(self):
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                connection.request("GET", "/")
                answer = connection.getresponse()
                body, kept = answer.read(), not answer.will_close
                connection.close()
            except OSError:
                time.sleep(0.05)
                continue
            if answer.status != 200 or body != BODY or not kept:
                raise Unusable(f"answers {answer.status} {body[:60]!r}, connection kept: {kept}")
            return
        raise Unusable(f"does not answer: {self.log.read_text(errors='replace')[-400:]}")

    def processes(self):
        """(pid, processor seconds) of every process of the session."""
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                try:
                    after_name = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue  # gone meanwhile
                state, session, used = after_name[0], int(after_name[3]), after_name[11:13]
                if session == self.process.pid and state not in "ZX":
                    yield int(entry.name), sum(map(int, used)) / TICKS

    def processor_seconds(self):
        return sum(seconds for _, seconds in self.processes())

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        for pid, _ in list(self.processes()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


def load(port, seconds, connections):
    """wrk's requests, requests per second, and errors of any kind."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}/"]
    told = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    requests = int(re.search(r"(\d+) requests in", told)[1])
    rate = float(re.search(r"Requests/sec:\s*([\d.]+)", told)[1])
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", told)))
    errors += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", told)))
    return requests, rate, errors


def measure(server, options):
    with tempfile.TemporaryDirectory(prefix="stint-bench-") as folder:
        running = Running(server, Path(folder))
        try:
            load(running.port, 1, options.connections)
            before = running.processor_seconds()
            requests, rate, errors = load(running.port, options.seconds, options.connections)
            used = running.processor_seconds() - before
        finally:
            running.stop()
    if requests == 0:
        raise Unusable("answered nothing under load")
    server.rates.append(rate)
    server.cpu.append(used / requests * 1e6)
    server.errors += errors


def machine():
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[1]) // 1024**2
    system = re.search(r'PRETTY_NAME="(.+)"', Path("/etc/os-release").read_text())
    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} processors, {memory} GiB; "
        f"{system[1] if system else 'Linux'}, kernel {platform.release()}"
    )


def change(now, before):
    """Of each round, then the middle."""
    for name, ours, theirs in (("requests/s", now.rates, before.rates), ("CPU µs/request", now.cpu, before.cpu)):
        ratios = [own / other for own, other in zip(ours, theirs)]
        yield f"{name} × {statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})"


def table(measured, left_out, options):
    base = measured[0]
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    wrk = re.match(r"wrk (?:debian/)?(\S+)", wrk)
    yield f"- When: {datetime.date.today()}"
    yield f"- Machine: {machine()}; load average when it began {options.load:.2f}"
    yield f"- Python {platform.python_version()}; wrk {wrk[1] if wrk else '(version unknown)'}, `-t1 -c{options.connections}`"
    yield f"- Command: `{options.shown}`; {options.rounds} rounds of {options.seconds} s, interleaved, order rotated"
    yield ""
    yield f"| server | setting | requests/s, median | min–max | × {base.name} | CPU µs/request, median | min–max | errors |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for server in measured:
        rate, cpu = statistics.median(server.rates), statistics.median(server.cpu)
        # The ratio of each round's neighbours, then the middle of them: what changes between rounds falls out.
        ratio = statistics.median(own / other for own, other in zip(server.rates, base.rates))
        yield (
            f"| {server.name} {server.version} | {server.setting} | {rate:,.0f} | {min(server.rates):,.0f}–{max(server.rates):,.0f}"
            f" | {ratio:.2f} | {cpu:.1f} | {min(server.cpu):.1f}–{max(server.cpu):.1f} | {server.errors} |"
        )
    for server in measured[1:]:
        if server.name == BEFORE:
            yield f"\nSince the build before, median of the rounds (min–max): {', '.join(change(base, server))}"
    for server, why in left_out:
        yield f"\nLeft out: {server.name}: {why}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stint", type=Path, default=ROOT / "build/release/stint")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--before", type=Path, help="another build of Stint to compare with")
    options = parser.parse_args()
    if min(options.rounds, options.seconds, options.connections) < 1:
        parser.error("rounds, seconds and connections are at least 1")
    if not shutil.which("wrk"):
        parser.error("wrk is not installed (Debian's package wrk; ./dev bench installs it)")
    shown = [f"--{name} {getattr(options, name)}" for name in ("rounds", "seconds", "connections")]
    options.shown = " ".join(["./dev bench", *shown, *([f"--only {options.only}"] if options.only else [])])
    options.shown += " --before STINT" if options.before else ""
    options.stint = options.stint.absolute()
    options.load = os.getloadavg()[0]
    return parser, options


def main():
    parser, options = arguments()
    taking_part = chosen(parser, servers(options.stint), options.only)
    if options.before:
        if taking_part[0].name != "stint":
            parser.error("--before is compared with stint")
        command = [str(options.before.absolute()), *taking_part[0].command[1:]]
        taking_part.insert(1, Server(BEFORE, command, "the build of --before, set up alike"))
    taking_part, left_out = those_that_can(taking_part)
    for number in range(options.rounds):
        for server in one_round(number, taking_part, left_out, lambda server: measure(server, options)):
            print(f"round {number + 1}: {server.name} {server.rates[-1]:,.0f}/s", file=sys.stderr, flush=True)
    if taking_part:
        print("\n".join(table(taking_part, left_out, options)))
    else:
        print("\n".join(f"{server.name}: {why}" for server, why in left_out), file=sys.stderr)
    return 0 if taking_part and not any(server.name == "stint" for server, _ in left_out) else 1


if __name__ == "__main__":
    sys.exit(main())
