#!/usr/bin/env python3
"""A long run of the strict client against Stint while its workers are replaced and killed. Any failed request fails it.

    bench/soak.py --stint build/release/stint [--minutes M] [--requests N] [--rescue SECONDS]

Again and again until the time is up or N requests have been answered by servers that recycle: every matrix of
workers (1, 2, 8) × limit (requests, memory, age) × client (kept-alive, new connections, pipelined) × body (13 bytes,
10 KiB) × socket (TCP, unix), each beside the same clients on a server that does not recycle. Then for some seconds a
random worker is killed every 300 ms. Prints one table in Markdown. Standard library only.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import run
import strict

COUNTS = (1, 2, 8)
US = 300
LIMITS = {  # the [app.recycle] that is tried, and what a request leaks
    "none": ("max_requests = 0", 0),
    "max_requests": ("max_requests = 2000", 0),
    "max_rss": ('max_requests = 0\nmax_rss = "40MiB"', 16),
    "max_age": ('max_requests = 0\nmax_age = "{workers}s"', 0),
}
CLIENTS = {
    "kept-alive": ["--connections", 16],
    "new connections": ["--connections", 16, "--per-connection", 1],
    "pipelined": ["--connections", 4, "--pipeline", 4],
}




class Row:
    """One server's part of the matrix, added up over all rounds."""

    def __init__(self, workers, limit):
        self.workers = workers
        self.limit = limit
        self.report = strict.Report()
        self.replaced = 0


def log_of(folder):
    return (folder / "stint.log").read_text(errors="replace")


def run_cell(options, row):
    """All kinds of client, one after another, on one server."""
    recycle, leak = LIMITS[row.limit]
    with tempfile.TemporaryDirectory(prefix="stint-soak-") as name:
        folder = Path(name)
        server = run.Server("stint", [options.stint, "serve", "-c", "{folder}/stint.toml"], "")
        running = strict.Running(server, folder, row.workers, recycle.format(workers=row.workers))
        try:
            strict.wait_until(lambda: len(strict.ready_workers(options.stint, folder)) >= row.workers)
            for address in (running.address, f"unix:{folder}/site.sock"):
                for shape in CLIENTS.values():
                    for kib in (0, 10):
                        pages = [strict.page(US, kib, seed, leak) for seed in range(4)]
                        told = strict.load(
                            options.client, address, "--requests", options.cell, *shape, *sum(pages, [])
                        )
                        row.report.add(told)
        finally:
            running.stop()
        row.replaced += log_of(folder).count("worker retiring") - log_of(folder).count("reason=stop")


def rescue(options, report, unsafe):
    """Kills a random one of two workers every 300 ms. Returns how many, and what was left of processes or descriptors."""
    with tempfile.TemporaryDirectory(prefix="stint-soak-") as name:
        folder = Path(name)
        server = run.Server("stint", [options.stint, "serve", "-c", "{folder}/stint.toml"], "")
        running = strict.Running(server, folder, 2)
        try:
            ready = lambda: strict.ready_workers(options.stint, folder)  # noqa: E731
            strict.wait_until(lambda: len(ready()) == 2)
            fds = Path(f"/proc/{running.process.pid}/fd")
            before = len(list(running.processes())), len(os.listdir(fds))
            shape = ["--connections", 12, "--requests", 10**9, "--seconds", options.rescue]
            get = strict.page(2000, 1, 7)
            post = ["--post", get[1], *get[2:], "--tolerate", 502]
            clients = [
                (strict.start_client(options.client, running.address, *shape, *get), report),
                (strict.start_client(options.client, f"unix:{folder}/site.sock", *shape, *get), report),
                (strict.start_client(options.client, running.address, *shape, *post), unsafe),
            ]
            kills = 0
            end = time.monotonic() + options.rescue
            while time.monotonic() < end:
                pids = ready()
                if pids:
                    os.kill(random.choice(pids), 9)
                    kills += 1
                time.sleep(0.3)
            for client, its_report in clients:
                its_report.add(strict.report_of(client))
            strict.wait_until(lambda: len(ready()) == 2)
            after = lambda: (len(list(running.processes())), len(os.listdir(fds)))  # noqa: E731
            same = strict.wait_until(lambda: after() == before)
            left = "" if same else f"processes and descriptors were {before}, are {after()}"
        finally:
            running.stop()
    return kills, left


def table(rows):
    steady = {row.workers: row for row in rows if row.limit == "none"}
    yield (
        "| workers | recycled by | requests | failures | closes (unannounced, announced) | replaced | connections"
        " | workers on one connection | p50 ms | p99 ms | p99.9 ms (× steady) | longest gap ms |"
    )
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row in sorted(rows, key=lambda row: row.workers):
        report = row.report
        base = steady[row.workers].report.percentile(0.999)
        p50, p99, p999 = (report.percentile(share) for share in (0.5, 0.99, 0.999))
        yield (
            f"| {row.workers} | {row.limit} | {report['answers']:,} | {report.failures_by_kind()}"
            f" | {report['idle_closes']}, {report['announced_closes']} | {row.replaced:,} | {report['connections_opened']:,}"
            f" | {report.most_workers_on_a_connection} | {p50:.2f} | {p99:.2f} | {p999:.2f} ({p999 / max(base, 0.001):.2f})"
            f" | {report.longest_gap:.1f} |"
        )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stint", type=Path, default=run.ROOT / "build/release/stint")
    parser.add_argument("--minutes", type=float, default=10, help="of the matrix; a round that has begun is completed")
    parser.add_argument("--requests", type=int, default=0, help="ends the matrix earlier")
    parser.add_argument("--cell", type=int, default=2500, help="requests of one client on one server in one round")
    parser.add_argument("--rescue", type=int, default=60, help="seconds of killing; 0: none")
    options = parser.parse_args()
    if options.minutes <= 0 or options.cell < 100 or options.requests < 0 or options.rescue < 0:
        parser.error("minutes are more than 0, a cell has at least 100 requests, nothing is negative")
    options.stint = options.stint.absolute()
    options.client = strict.find_client(options.stint)
    return options


def main():
    options = arguments()
    load_before = os.getloadavg()[0]
    rows = [Row(workers, limit) for workers in COUNTS for limit in LIMITS]
    recycling = [row for row in rows if row.limit != "none"]
    began = time.monotonic()
    rounds = 0
    problems = []
    while not problems:
        for row in rows:
            run_cell(options, row)
            if row.report["failures"] or row.report["idle_closes"] or row.report["announced_closes"]:
                problems.append(f"{row.workers} workers, {row.limit}: " + "; ".join(row.report.examples or ["closes"]))
        rounds += 1
        answers = sum(row.report["answers"] for row in recycling)
        minutes = (time.monotonic() - began) / 60
        print(f"round {rounds}: {answers:,} answers while recycling, {minutes:.1f} min", file=sys.stderr, flush=True)
        if minutes >= options.minutes or 0 < options.requests <= answers:
            break

    print(f"- Machine: {run.machine()}; load average when it began {load_before:.2f}")
    print(f"- {rounds} rounds in {minutes:.1f} minutes; each request waits {US} µs in the application; workers × limit × client")
    print(f"  ({', '.join(CLIENTS)}) × body (13 bytes, 10 KiB) × socket (TCP, unix)")
    print(f"- {answers:,} requests while workers were replaced {sum(row.replaced for row in recycling):,} times\n")
    print("\n".join(table(rows)))
    if options.rescue:
        safe, unsafe = strict.Report(), strict.Report()
        kills, left = rescue(options, safe, unsafe)
        cut = sum(report[kind] for report in (safe, unsafe) for kind in ("early_closes", "truncated"))
        failed = safe["failures"] + unsafe["failures"] - cut
        print(f"\nkill -9 of a random one of two workers, every 300 ms for {options.rescue} s, {kills} in all:")
        print(f"{safe['answers']:,} GET answered 200, {unsafe['answers']:,} POST answered 200 and {unsafe['tolerated']} answered 502,")
        print(f"{cut} answers cut in the middle, {failed} other failures; longest gap {safe.longest_gap:.0f} ms,")
        print(f"p99.9 of GET {safe.percentile(0.999):.1f} ms; one connection saw {safe.most_workers_on_a_connection} workers.")
        if failed or safe["idle_closes"] or unsafe["idle_closes"] or unsafe["tolerated"] + cut > kills:
            problems.append("rescue: " + "; ".join(safe.examples + unsafe.examples or ["closes"]))
        if left:
            problems.append("rescue: " + left)
    for problem in problems:
        print(f"\nFAILED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
