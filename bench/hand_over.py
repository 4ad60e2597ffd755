#!/usr/bin/env python3
"""What clients see when a worker is killed or recycled: Stint beside other WSGI servers, with the strict client as judge.

    bench/hand_over.py --stint build/release/stint [--rounds N] [--only NAME,…]

Every server has two workers and runs apps/hand_over.py under 32 kept-alive connections.
  kill      kill -9 of one of the two workers under load: which requests and connections it costs, and for how long
            nobody is answered
  recycle   workers replaced after so many requests (granian has no such limit: by memory, with a leaking application)
Prints Markdown. Standard library only; the other servers are installed into build/bench-venv, and one that cannot be
installed is left out and named.
"""

import os
import shlex
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import run
import strict

US = 2000  # of each call
KILL_SECONDS = 6
RECYCLE_SECONDS = 20
MAX_REQUESTS = 1000


@dataclass
class Peer(run.Server):
    recycle: str = ""  # what is added to the command to have workers recycled; for Stint: its [app.recycle]
    recycle_setting: str = ""
    leak: int = 0  # KiB a request, where workers are recycled by memory
    keeps_alive: bool = True
    reports: dict = field(default_factory=dict)
    kills: int = 0
    replaced: list = field(default_factory=list)  # whether two workers answer new connections after the run


def peers(stint):
    return [
        Peer(
            "stint",
            [stint, "serve", "-c", "{folder}/stint.toml"],
            "count = 2",
            recycle=f"max_requests = {MAX_REQUESTS}",
            recycle_setting=f"max_requests = {MAX_REQUESTS}",
        ),
        Peer(
            "gunicorn gthread",
            shlex.split(
                "{python} -m gunicorn --bind 127.0.0.1:{port} --workers 2 --worker-class gthread --threads 4"
                " --keep-alive 75 --log-level warning hand_over:application"
            ),
            "--workers 2 --worker-class gthread --threads 4 --keep-alive 75",
            pin="gunicorn==27.0.1",
            recycle=f"--max-requests {MAX_REQUESTS}",
            recycle_setting=f"--max-requests {MAX_REQUESTS}",
        ),
        Peer(
            "gunicorn sync",
            shlex.split(
                "{python} -m gunicorn --bind 127.0.0.1:{port} --workers 2 --log-level warning hand_over:application"
            ),
            "--workers 2; closes each connection, announced",
            pin="gunicorn==27.0.1",
            recycle=f"--max-requests {MAX_REQUESTS}",
            recycle_setting=f"--max-requests {MAX_REQUESTS}",
            keeps_alive=False,
        ),
        Peer(
            "granian",
            shlex.split(
                "{python} -m granian --interface wsgi --host 127.0.0.1 --port {port} --workers 2 --http 1 --no-ws"
                " --respawn-failed-workers --log-level warning hand_over:application"
            ),
            "--workers 2 --respawn-failed-workers",
            pin="granian==2.8.7",
            recycle="--workers-max-rss 64 --rss-sample-interval 1",
            recycle_setting="--workers-max-rss 64 --rss-sample-interval 1, 32 KiB leaked a request",
            leak=32,
        ),
        Peer(
            "uWSGI",
            shlex.split(
                "{python} -c 'import os, sys; os.execv(sys.prefix + \"/bin/uwsgi\", [\"uwsgi\"] + sys.argv[1:])'"
                " --http 127.0.0.1:{port} --http-keepalive --master --die-on-term --processes 2 --disable-logging"
                " --module hand_over:application"
            ),
            "--master --processes 2 behind its own router, --http-keepalive",
            pin="uwsgi==2.0.31",
            recycle=f"--max-requests {MAX_REQUESTS}",
            recycle_setting=f"--max-requests {MAX_REQUESTS}",
        ),
    ]


class Running(strict.Running):
    def __init__(self, peer, folder, recycle):
        command = peer
        if recycle and peer.name != "stint":
            command = run.Server(peer.name, [*peer.command, *shlex.split(recycle)], "")
        super().__init__(command, folder, 2, recycle if peer.name == "stint" and recycle else "max_requests = 0")

    def wait_until_it_answers(self):
        """Unlike run.Running, also of a server that keeps no connection alive."""
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            told = strict.load(CLIENT, self.address, "--requests", 1, "--connections", 1, "--timeout", 2000)
            if told["answers"] == 1:
                return
            time.sleep(0.05)
        raise run.Unusable(f"does not answer: {self.log.read_text(errors='replace')[-400:]}")


CLIENT = None


def measure(peer, what):
    report = peer.reports.setdefault(what, strict.Report())
    with tempfile.TemporaryDirectory(prefix="stint-bench-") as folder:
        running = Running(peer, Path(folder), peer.recycle if what == "recycle" else "")
        try:
            workers = running.workers(CLIENT)
            seconds = KILL_SECONDS if what == "kill" else RECYCLE_SECONDS
            options = ["--connections", 32, "--requests", 10**9, "--seconds", seconds, "--timeout", 10_000]
            client = strict.start_client(
                CLIENT, running.address, *options, *strict.page(US, leak=peer.leak if what == "recycle" else 0)
            )
            if what == "kill":
                time.sleep(1.5)
                os.kill(workers[0], signal.SIGKILL)
            told = strict.report_of(client)
            if what == "kill":
                peer.kills += 1
                peer.replaced.append(len(set(running.workers(CLIENT)) - {workers[0]}) >= 2)
        finally:
            running.stop()
    report.add(told)


def rows(measured, what):
    if what == "kill":
        yield "| server | setting | kills | failed requests | connections closed unannounced | replaced | answers | longest gap ms |"
        yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    else:
        yield (
            "| server | recycled by | failed requests | connections closed unannounced | announced | workers | answers"
            " | p99.9 ms | longest gap ms |"
        )
        yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for peer in measured:
        report = peer.reports[what]
        failed = f"{report['failures']:,}"
        if report["failures"]:
            failed += f" ({report.failures_by_kind()})"
        name = f"{peer.name} {peer.version}"
        if what == "kill":
            replaced = f"{sum(peer.replaced)} of {peer.kills}"
            yield (
                f"| {name} | {peer.setting} | {peer.kills} | {failed} | {report['idle_closes']} | {replaced}"
                f" | {report['answers']:,} | {report.longest_gap:.0f} |"
            )
        else:
            announced = f"{report['announced_closes']:,}" if peer.keeps_alive else "all"
            yield (
                f"| {name} | {peer.recycle_setting} | {failed} | {report['idle_closes']} | {announced}"
                f" | {len(report.workers)} | {report['answers']:,} | {report.percentile(0.999):.1f} | {report.longest_gap:.0f} |"
            )


def main():
    global CLIENT
    parser, options = strict.comparison_arguments(__doc__)
    CLIENT = strict.find_client(options.stint)
    load_before = os.getloadavg()[0]
    taking_part, left_out = run.those_that_can(run.chosen(parser, peers(options.stint), options.only))
    for number in range(options.rounds):
        for what in ("kill", "recycle"):
            for peer in run.one_round(number, taking_part, left_out, lambda peer: measure(peer, what)):
                failures = peer.reports[what]["failures"]
                print(f"round {number + 1}: {what} {peer.name}: {failures} failures so far", file=sys.stderr, flush=True)
    if taking_part:
        print(f"- Machine: {run.machine()}; load average when it began {load_before:.2f}")
        print(f"- {options.rounds} rounds, interleaved; 32 kept-alive connections, calls of {US / 1000:.0f} ms, two workers")
        print(f"\nkill -9 of one of two workers, under load for {KILL_SECONDS} s:\n")
        print("\n".join(rows(taking_part, "kill")))
        print(f"\nWorkers recycled under load, {RECYCLE_SECONDS} s a round:\n")
        print("\n".join(rows(taking_part, "recycle")))
    for peer, why in left_out:
        print(f"\nLeft out: {peer.name}: {why}")
    return 0 if taking_part and not any(peer.name == "stint" for peer, _ in left_out) else 1


if __name__ == "__main__":
    sys.exit(main())
