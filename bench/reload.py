#!/usr/bin/env python3
"""What clients see of deploys: Stint beside other WSGI servers, with the strict client as judge.

    bench/reload.py --stint build/release/stint [--rounds N] [--only NAME,…]

Every server has two workers and runs a Django site (apps/versioned_site.py) under paced load: kept-alive, pipelined and
new connections at the same time. After some steady seconds come three reloads, each with a new version of the code, then
a deploy that cannot be imported. Prints Markdown. Standard library only; the other servers are installed into
build/bench-venv, and one that cannot be installed is left out and named.
"""

import http.client
import os
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

STEADY_SECONDS = 5
RELOADS = 3
MOST_SECONDS = 20  # until a reload is taken for done
BROKEN_SECONDS = 10  # watched after a deploy that cannot be imported
MODULE = "versioned_site:application"

STINT_TOML = """listen = ["127.0.0.1:{port}"]

[app]
module = "versioned_site:application"
directory = "{folder}"
venv = "{venv}"

[app.workers]
count = 2

[app.warmup]
requests = ["/"]

[control]
socket = "{folder}/control.sock"

[log]
access = ""
"""


def signalled(number):
    return lambda running: os.kill(running.process.pid, number)


def touched(running):
    (running.folder / "reload").touch()


@dataclass
class Peer(run.Server):
    reload: object = None  # what tells it; None: `stint reload --wait`
    reload_by: str = ""
    leave_out: tuple = ()  # kinds of clients
    results: list = field(default_factory=list)  # of each round


def gunicorn(name, options, setting, **more):
    command = "{python} -m gunicorn --bind 127.0.0.1:{port} --workers 2 --log-level warning"
    return Peer(name, shlex.split(f"{command} {options} {MODULE}"), setting, pin="gunicorn==27.0.1",
                reload=signalled(signal.SIGHUP), reload_by="HUP", **more)  # fmt: skip


def uwsgi(name, options, **more):
    command = (
        "{venv}/bin/uwsgi --http 127.0.0.1:{port} --http-keepalive --master --die-on-term --processes 2 --disable-logging"
        " --home {venv} --pythonpath {folder}"
    )
    setting = f"--http-keepalive {options.replace('{folder}/', '')}".strip() + "; not pipelined, its router closes then"
    return Peer(name, shlex.split(f"{command} {options} --module {MODULE}"), setting, pin="uwsgi==2.0.31",
                leave_out=("pipelined",), **more)  # fmt: skip


def peers(stint):
    return [
        Peer("stint", [stint, "serve", "-c", "{folder}/stint.toml"], "warmup.requests = [\"/\"]", reload_by="stint reload --wait"),
        gunicorn("gunicorn gthread", "--worker-class gthread --threads 4 --keep-alive 75", "gthread, 4 threads"),
        gunicorn("gunicorn sync", "", "sync; closes each connection, announced"),
        uwsgi("uWSGI", "", reload=signalled(signal.SIGHUP), reload_by="HUP"),
        uwsgi("uWSGI chain", "--lazy-apps --touch-chain-reload {folder}/reload", reload=touched, reload_by="chain reload"),
        Peer(
            "granian",
            shlex.split(
                "{python} -m granian --interface wsgi --host 127.0.0.1 --port {port} --workers 2 --http 1 --no-ws"
                f" --log-level warning {MODULE}"
            ),
            "--workers 2",
            pin="granian==2.8.7",
            reload=signalled(signal.SIGHUP),
            reload_by="HUP",
        ),
        Peer(
            "mod_wsgi",
            shlex.split(
                "{venv}/bin/mod_wsgi-express start-server --port {port} --processes 2 --threads 4 --server-root {folder}/httpd"
                " --httpd-executable /usr/sbin/apache2 --locale C.UTF-8"
                " --user nobody --group nogroup --working-directory {folder} --application-type module --log-to-terminal"
                " versioned_site"
            ),
            "mod_wsgi-express, --processes 2 --threads 4",
            pin="mod_wsgi==6.1.1",
            reload=signalled(signal.SIGUSR1),
            reload_by="graceful restart (USR1)",
        ),
    ]


class Running(strict.Running):
    def __init__(self, peer, folder):
        self.port = run.free_port()
        self.folder = folder
        deploys.make_site(folder)
        (folder / "reload").touch()
        values = {"python": run.VENV / "bin/python", "venv": run.VENV, "port": self.port, "folder": folder}
        (folder / "stint.toml").write_text(STINT_TOML.format_map(values))
        self.start([str(part).format_map(values) for part in peer.command], folder / "server.log", folder)
        self.peer = peer

    def version(self):
        """What a new connection gets: a version, a status that is not 200, or why there was no answer."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        return answer.headers["X-Version"] if answer.status == 200 else str(answer.status)

    def wait_until_it_answers(self):
        if not strict.wait_until(lambda: self.version() == "1" or self.process.poll() is not None) or self.process.poll():
            raise run.Unusable(f"does not answer: {self.log.read_text(errors='replace')[-400:]}")

    def versions(self):
        return {self.version() for _ in range(20)}

    def tell_to_reload(self):
        """(exit code, what the user is told), or nothing where the command only tells and does not wait."""
        if self.peer.reload:
            self.peer.reload(self)
            return None, ""
        done = subprocess.run(
            [self.peer.command[0], "reload", "--wait", "--socket", self.folder / "control.sock"],
            capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return done.returncode, done.stderr or done.stdout


@dataclass
class Result:
    steady: deploys.Report
    reloads: deploys.Report = field(default_factory=deploys.Report)
    took: list = field(default_factory=list)  # seconds until the new version alone answered new connections
    both: float = 0.0  # seconds in which both versions answered
    stale: list = field(default_factory=list)  # seconds by which the old version answered after the command had returned
    never: int = 0  # reloads after which the new version did not come
    broken: deploys.Report = None
    told: str = ""
    serves: set = field(default_factory=set)  # versions, statuses or errors after the broken deploy


def under_load(running, client, what):
    clients = deploys.Clients(client, [running.address], running.peer.leave_out)
    try:
        time.sleep(1)
        what()
        time.sleep(1)
        return clients.report()
    finally:
        clients.stop()


def reload_once(running, client, version, result):
    old, new = str(version - 1), str(version)
    times = {}

    def reload():
        began = time.monotonic()
        deploys.deploy(running.folder, version)
        code, told = running.tell_to_reload()
        if code is not None:
            times["returned"] = time.monotonic()
            if code != 0:
                raise run.Unusable(f"reload failed: {told}")
        if strict.wait_until(lambda: running.versions() == {new}, MOST_SECONDS):
            result.took.append(time.monotonic() - began)
        else:
            result.never += 1

    report = under_load(running, client, reload)
    result.reloads.add_up(report)
    if old in report.last_request and new in report.first_answer:
        result.both = max(result.both, report.last_request[old] - report.first_answer[new])
    if "returned" in times:
        result.stale.append(report.last_request.get(old, 0) - times["returned"])


def deploy_broken(running, client, result):
    def reload():
        deploys.write(running.folder, deploys.BROKEN["import error"])
        code, told = running.tell_to_reload()
        if code is not None:
            result.told = f"exit {code}: {told.splitlines()[0]}"
        time.sleep(BROKEN_SECONDS)
        result.serves = running.versions()

    result.broken = under_load(running, client, reload)
    if not result.told:
        log = running.log.read_text(errors="replace")
        result.told = "nothing; the log says why" if "no_such_module_of_ours" in log else "nothing"
    if running.process.poll() is not None:
        result.told += f"; the server exits with {running.process.returncode}"


def measure(peer, client):
    with tempfile.TemporaryDirectory(prefix="stint-bench-") as name:
        running = Running(peer, Path(name))
        try:
            running.versions()
            result = Result(under_load(running, client, lambda: time.sleep(STEADY_SECONDS - 2)))
            for number in range(RELOADS):
                reload_once(running, client, number + 2, result)
            deploy_broken(running, client, result)
        finally:
            running.stop()
    peer.results.append(result)


def spread(values, digits=0):
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def failures(reports):
    total = deploys.Report()
    for report in reports:
        total.add_up(report)
    return f"{total['failures']:,}" + (f" ({total.failures_by_kind()})" if total["failures"] else "")


def reload_rows(measured):
    yield (
        "| server | setting | reloaded by | failed requests, steady | during the reloads | closed unannounced | longest gap ms, steady"
        " | during | p99.9 ms, steady | during | new code alone after s | both at once ms | old code after the command said done |"
    )
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    for peer in measured:
        steady, during = [r.steady for r in peer.results], [r.reloads for r in peer.results]
        took = [seconds for r in peer.results for seconds in r.took]
        stale = [seconds for r in peer.results for seconds in r.stale]
        done = "it says nothing" if not stale else "never" if max(stale) <= 0 else f"up to {max(stale) * 1000:.0f} ms"
        never = sum(r.never for r in peer.results)
        yield (
            f"| {peer.name} {peer.version} | {peer.setting} | {peer.reload_by} | {failures(steady)} | {failures(during)}"
            f" | {sum(report['idle_closes'] for report in during):,}"
            f" | {spread([r.longest_gap for r in steady])} | {spread([r.longest_gap for r in during])}"
            f" | {spread([r.percentile(0.999) for r in steady], 1)} | {spread([r.percentile(0.999) for r in during], 1)}"
            f" | {spread(took, 1) if took else ''}{f', {never} times not at all' if never else ''}"
            f" | {spread([max(r.both, 0) * 1000 for r in peer.results])} | {done} |"
        )


def meaning(serves):
    old = str(RELOADS + 1)
    if serves == {old}:
        return "the old code"
    return ("the old code and " if old in serves else "") + ", ".join(sorted(serves - {old}))


def broken_rows(measured):
    yield "| server | what the user is told | failed requests | answers | longest gap ms | new connections get |"
    yield "| --- | --- | ---: | ---: | ---: | --- |"
    for peer in measured:
        broken = [result.broken for result in peer.results]
        told = "; or: ".join(sorted({result.told for result in peer.results})).replace("|", "\\|")
        yield (
            f"| {peer.name} | {told} | {failures(broken)} | {sum(report['answers'] for report in broken):,}"
            f" | {spread([report.longest_gap for report in broken])}"
            f" | {'; or: '.join(sorted({meaning(result.serves) for result in peer.results}))} |"
        )


def main():
    parser, options = strict.comparison_arguments(__doc__)
    client = strict.find_client(options.stint)
    load_before = os.getloadavg()[0]
    taking_part, left_out = run.those_that_can(run.chosen(parser, peers(options.stint), options.only))
    django = deploys.install_django()
    for number in range(options.rounds):
        for peer in run.one_round(number, taking_part, left_out, lambda peer: measure(peer, client)):
            failed = peer.results[-1].reloads["failures"]
            print(f"round {number + 1}: {peer.name}: {failed} failures in its reloads", file=sys.stderr, flush=True)
    if taking_part:
        print(f"- Machine: {run.machine()}; load average when it began {load_before:.2f}")
        print(f"- {options.rounds} rounds, interleaved; two workers, Django {django}; {', '.join(deploys.CLIENTS)}, paced")
        print(f"- medians of the rounds (min–max), failures of all rounds together; {RELOADS} reloads a round\n")
        print("\n".join(reload_rows(taking_part)))
        print("\nA deploy whose module cannot be imported:\n")
        print("\n".join(broken_rows(taking_part)))
    for peer, why in left_out:
        print(f"\nLeft out: {peer.name}: {why}")
    return 0 if taking_part and not any(peer.name == "stint" for peer, _ in left_out) else 1


if __name__ == "__main__":
    sys.exit(main())
