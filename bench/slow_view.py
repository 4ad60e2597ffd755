#!/usr/bin/env python3
"""What one client that asks for a slow view again and again costs the others: Stint beside other WSGI servers.

    bench/slow_view.py --stint build/release/stint [--rounds N] [--seconds S] [--only NAME,…]

Every server has two workers and runs apps/hand_over.py. Eight kept-alive connections ask for a fast view, with 4 ms
between an answer and the next request. Beside them, on connections of their own:
  nobody      as it is without
  sleeps      one client whose view waits 100 ms
  computes    one client whose view computes 100 ms in Python
  4 sleep     four clients whose views wait 100 ms, with four threads in each worker where the server has threads
Prints Markdown. Standard library only; the other servers are installed into build/bench-venv, and one that cannot be
installed is left out and named.
"""

import os
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import hand_over
import pools
import run
import strict

SLOW_US = 100_000
CONNECTIONS, PAUSE_MS = 8, 4
P99_MS = 3  # what Stint promises
CASES = {"nobody": (0, ""), "sleeps": (1, "us"), "computes": (1, "compute"), "4 sleep": (4, "us")}


@dataclass
class Peer(run.Server):
    reports: dict = field(default_factory=dict)  # by case: [(fast, slow answers a second)]


# Of granian a thread waits in each request; without a word on them it has as many as it likes.
THREADS = {
    "stint": ([], ["--threads", "4"]),
    "gunicorn gthread": ([], ["--threads", "4"]),
    "granian": (["--blocking-threads", "1"], ["--blocking-threads", "4"]),
    "uWSGI": ([], ["--threads", "4"]),
}


def measure(peer, case, options):
    slow_clients, query = CASES[case]
    command = [*peer.command, *THREADS[peer.name][slow_clients > 1]]
    with tempfile.TemporaryDirectory(prefix="stint-bench-") as folder:
        running = hand_over.Running(run.Server(peer.name, command, ""), Path(folder), "")
        try:
            running.workers(options.client)
            slow = None
            limits = ["--requests", 10**9, "--timeout", 20_000]
            if slow_clients:
                page = ["--path", f"/?{query}={SLOW_US}"]
                slow = strict.start_client(options.client, running.address, "--connections", slow_clients, "--seconds", options.seconds + 1, *limits, *page)  # fmt: skip
            fast = strict.load(options.client, running.address, "--connections", CONNECTIONS, "--pause", PAUSE_MS, "--seconds", options.seconds, *limits, *strict.page(0))  # fmt: skip
            slow_answers = strict.report_of(slow)["answers"] if slow else 0
        finally:
            running.stop()
    report = strict.Report()
    report.add(fast)
    peer.reports.setdefault(case, []).append((report, slow_answers / (options.seconds + 1)))


def table(measured, left_out):
    yield "| server | setting | beside | p50 ms, median (min–max) | p99 ms, median (min–max) | answers/s | slow answers/s | failures |"
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for peer in measured:
        for case, runs in peer.reports.items():
            fast = [report for report, _ in runs]
            cells = []
            for share in (0.5, 0.99):
                values = [report.percentile(share) for report in fast]
                cells.append(f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})")
            rate = statistics.median(report["answers"] for report in fast) / peer.seconds
            slow = statistics.median(slow for _, slow in runs)
            added = THREADS[peer.name][CASES[case][0] > 1]
            setting = ", ".join([peer.setting, *([" ".join(added)] if added else [])])
            failures = sum(report["failures"] for report in fast)
            yield f"| {peer.name} {peer.version} | {setting} | {case} | {cells[0]} | {cells[1]} | {rate:,.0f} | {slow:.1f} | {failures} |"
    for peer, why in left_out:
        yield f"\nLeft out: {peer.name}: {why}"


def main():
    parser, options = strict.comparison_arguments(__doc__, seconds=4)
    options.client = hand_over.CLIENT = strict.find_client(options.stint)
    load = os.getloadavg()[0]
    taking_part, left_out = run.those_that_can(run.chosen(parser, pools.peers(Peer, options.stint, 2), options.only))
    for peer in taking_part:
        peer.seconds = options.seconds
    for number in range(options.rounds):
        for case in CASES:
            for peer in run.one_round(number, taking_part, left_out, lambda peer: measure(peer, case, options)):
                p99 = peer.reports[case][-1][0].percentile(0.99)
                print(f"round {number + 1}: {peer.name}, {case}: p99 {p99:.2f} ms", file=sys.stderr, flush=True)
    print(f"- Machine: {run.machine()}; load average when it began {load:.2f}")
    print(f"- {options.rounds} rounds of {options.seconds} s, interleaved; {CONNECTIONS} kept-alive connections, {PAUSE_MS} ms between an answer and the next request\n")
    print("\n".join(table(taking_part, left_out)))
    problems = []
    for peer in taking_part:
        for case, runs in peer.reports.items() if peer.name == "stint" else ():
            p99 = statistics.median(report.percentile(0.99) for report, _ in runs)
            if p99 > P99_MS:
                problems.append(f"beside {case}: p99 is {p99:.2f} ms, more than {P99_MS}")
            if failures := sum(report["failures"] for report, _ in runs):
                problems.append(f"beside {case}: {failures} failures")
    for problem in problems:
        print(f"\nFAILED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
