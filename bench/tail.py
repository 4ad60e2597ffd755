#!/usr/bin/env python3
"""The tail against theory: Stint and other WSGI servers beside the ideal single queue.

    bench/tail.py --stint build/release/stint [--rounds N] [--seconds S] [--only NAME,…] [--before STINT]

Eight workers with one thread each. Requests come at random (Poisson) at 80 % of what eight servers can do, 95 % of them for
a view that waits 5 ms and 5 % for one that waits 100 ms, each on a random one of 256 kept-alive connections that has no
request in flight. What a request took counts from the time at which it was to be sent. Beside it what an ideal server would
have made of the very same requests: one queue, from which eight servers take in order (M/G/8), at no cost.
Prints Markdown. Standard library only; the other servers are installed into build/bench-venv, and one that cannot be
installed is left out and named.
"""

import argparse
import heapq
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import hand_over
import pools
import run
import strict

WORKERS = 8
SHORT_US, LONG_US, LONG_SHARE = 5_000, 100_000, 0.05
LOAD = 0.8
CONNECTIONS = 256
WARM_UP_S = 2  # what comes so early does not count
SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
MOST_P99 = 1.3  # times the ideal: what Stint promises


@dataclass
class Peer(run.Server):
    percentiles: dict = field(default_factory=lambda: {name: [] for name in SHARES})  # milliseconds, one for each round
    ratios: dict = field(default_factory=lambda: {name: [] for name in SHARES})  # to the ideal of the same round
    failures: int = 0


def arrivals(seconds, seed):
    """[(when, how long its view waits)] in microseconds."""
    dice = random.Random(seed)
    mean = SHORT_US * (1 - LONG_SHARE) + LONG_US * LONG_SHARE
    at, made = 0.0, []
    while True:
        at += dice.expovariate(LOAD * WORKERS / mean)
        if at > (WARM_UP_S + seconds) * 1e6:
            return made
        made.append((int(at), LONG_US if dice.random() < LONG_SHARE else SHORT_US))


def ideal(requests):
    """What each takes, in microseconds, where eight servers take from one queue."""
    free_at = [0] * WORKERS
    took = []
    for at, service in requests:
        ends = max(at, heapq.heappop(free_at)) + service
        heapq.heappush(free_at, ends)
        took.append(ends - at)
    return took


def percentile(values, share):
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def counted(requests, values):
    return [value for (at, _), value in zip(requests, values) if at >= WARM_UP_S * 1e6]


def load(client, address, requests):
    lines = "".join(f"{at} /?us={service}\n" for at, service in requests)
    command = [client, address, "--connections", str(CONNECTIONS)]
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(peer, requests, options):
    with tempfile.TemporaryDirectory(prefix="stint-bench-") as folder:
        running = pools.Running(peer, Path(folder), WORKERS)
        try:
            running.wait_for_workers()
            told = load(options.client, running.address, requests)
        finally:
            running.stop()
    took = counted(requests, told["took_us"])
    answered = [us for us in took if us >= 0]
    peer.failures += len(took) - len(answered)
    best = counted(requests, ideal(requests))
    for name, share in SHARES.items():
        peer.percentiles[name].append(percentile(answered, share) / 1000)
        peer.ratios[name].append(percentile(answered, share) / percentile(best, share))


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def table(measured, left_out, rounds):
    yield f"| server | setting | {' | '.join(f'{name} ms, median (min–max) | × ideal' for name in SHARES)} | failures |"
    yield f"| --- | --- | {'---: | ---: | ' * len(SHARES)}---: |"
    best = [counted(requests, ideal(requests)) for requests in rounds]
    cells = [f"{spread([percentile(took, share) / 1000 for took in best], 1)} | 1" for share in SHARES.values()]
    yield f"| the ideal | M/G/{WORKERS}, simulated | {' | '.join(cells)} | |"
    for peer in measured:
        cells = [f"{spread(peer.percentiles[name], 1)} | {spread(peer.ratios[name], 2)}" for name in SHARES]
        yield f"| {peer.name} {peer.version} | {peer.setting} | {' | '.join(cells)} | {peer.failures} |"
    for peer, why in left_out:
        yield f"\nLeft out: {peer.name}: {why}"


def exactness(client, requests):
    """How late the load client is by itself: against a thread that answers at once."""
    told = load(client, "itself", requests)
    late = [f"{percentile(told[what], share)} µs" for what in ("sent_late_us", "took_us") for share in (0.5, 0.99)]
    return f"requests sent {late[0]} (median) and {late[1]} (p99) late, answered after {late[2]} and {late[3]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stint", type=Path, default=run.ROOT / "build/release/stint")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20, help="of each measurement")
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--before", type=Path, help="another build of Stint to compare with")
    options = parser.parse_args()
    if min(options.rounds, options.seconds) < 1:
        parser.error("there is at least 1 round, and 1 second")
    options.stint = options.stint.absolute()
    options.client = strict.find_client(options.stint, "stint-open-load")
    hand_over.CLIENT = strict.find_client(options.stint)
    began_load = os.getloadavg()[0]
    taking_part = run.chosen(parser, pools.peers(Peer, options.stint, WORKERS, "--blocking-threads 1"), options.only)
    if options.before:
        command = [str(options.before.absolute()), *pools.peers(Peer, options.stint, WORKERS, "--blocking-threads 1")[0].command[1:]]
        taking_part.append(Peer(run.BEFORE, command, "the build of --before, set up alike"))
    taking_part, left_out = run.those_that_can(taking_part)
    rounds = [arrivals(options.seconds, number) for number in range(options.rounds)]
    for number, requests in enumerate(rounds):
        for peer in run.one_round(number, taking_part, left_out, lambda peer: measure(peer, requests, options)):
            shown = ", ".join(f"{name} × {peer.ratios[name][-1]:.2f}" for name in SHARES)
            print(f"round {number + 1}: {peer.name}: {shown}", file=sys.stderr, flush=True)
    print(f"- Machine: {run.machine()}; load average when it began {began_load:.2f}")
    print(f"- {options.rounds} rounds of {options.seconds} s, interleaved; {len(rounds[0]) / (WARM_UP_S + options.seconds):,.0f} requests/s")
    print(f"- The load client by itself: {exactness(options.client, rounds[0])}\n")
    print("\n".join(table(taking_part, left_out, rounds)))
    problems = []
    for peer in taking_part:
        if peer.name != "stint":
            continue
        if statistics.median(peer.ratios["p99"]) > MOST_P99:
            problems.append(f"p99 is {statistics.median(peer.ratios['p99']):.2f} times the ideal, more than {MOST_P99}")
        if peer.failures:
            problems.append(f"{peer.failures} failures")
    for problem in problems:
        print(f"\nFAILED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
