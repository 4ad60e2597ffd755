#!/usr/bin/env python3
"""Load over workers when clients keep their connections and most of them are one worker's: Stint beside other WSGI servers.

    bench/pinned.py --stint build/release/stint [--rounds N] [--seconds S] [--only NAME,…]

Four workers with one thread each, and 64 kept-alive connections. Connections are opened and asked which worker answers them
until one has 52 of them; the 12 others are those of other workers, or, where there are not so many, also of that one. Then each
asks again 20 ms after an answer. After some seconds, S seconds count: how many requests each worker has answered.
  waits       the view waits 0.5 ms
  computes    the view computes 0.2 ms in Python
A worker that has 52 of 64 connections has all it can do; four that have 16 each have not.
Prints Markdown. Standard library only; the other servers are installed into build/bench-venv, and one that cannot be
installed is left out and named.
"""

import heapq
import os
import re
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import hand_over
import pools
import run
import strict

WORKERS, CONNECTIONS, PINNED = 4, 64, 52
PAUSE_S = 0.020
SETTLING_S = 10
CASES = {"waits": "/?us=500", "computes": "/?compute=200"}
MOST_RATIO = 1.2  # what Stint promises


@dataclass
class Peer(run.Server):
    results: dict = field(default_factory=dict)  # by case: [(connections by worker, requests by worker, latencies)]
    failures: int = 0


class Client:
    """One kept-alive connection."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def send(self, path):
        self.sent_at = time.monotonic()
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def receive(self):
        """The pid of the worker, when the answer is whole. Raises OSError when the connection ends."""
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionResetError("closed")
        self.received += part
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found or len(body) < len(run.BODY):
            return None
        if not head.startswith(b"HTTP/1.1 200") or body != run.BODY:
            raise ConnectionError(f"another answer: {self.received[:100]}")
        self.received = b""
        return int(re.search(rb"(?i)\r\nX-Worker-Pid: (\d+)", head)[1])

    def ask(self, path):
        self.send(path)
        while (pid := self.receive()) is None:
            pass
        return pid


def pinned_clients(port):
    """CONNECTIONS of them, and how many each worker has. At first all ask at once, so that no worker stays idle."""
    by_worker = {}
    for _ in range(40):
        batch = [Client(port) for _ in range(32)]
        for client in batch:
            client.send("/?us=500")
        for client in batch:
            while (pid := client.receive()) is None:
                pass
            by_worker.setdefault(pid, []).append(client)
        if max(map(len, by_worker.values())) >= PINNED and sum(map(len, by_worker.values())) >= CONNECTIONS:
            break
    most, *others = sorted(by_worker.values(), key=len, reverse=True)
    chosen = most[:PINNED]
    for turn in range(CONNECTIONS):  # one of each by turns
        for clients in others:
            if turn < len(clients) and len(chosen) < CONNECTIONS:
                chosen.append(clients[turn])
    chosen += most[PINNED:][: CONNECTIONS - len(chosen)]
    kept = set(map(id, chosen))
    for clients in by_worker.values():
        for client in clients:
            if id(client) not in kept:
                client.socket.close()
    started_with = Counter({pid: sum(id(client) in kept for client in clients) for pid, clients in by_worker.items()})
    return chosen, started_with


def load(clients, path, seconds):
    """Requests by worker, and milliseconds of each, of the last `seconds`; and failures of all the time."""
    selector = selectors.DefaultSelector()
    for client in clients:
        client.socket.settimeout(0)
        selector.register(client.socket, selectors.EVENT_READ, client)
    requests, took, failures = Counter(), [], 0
    began = time.monotonic()
    counts_from, ends = began + SETTLING_S, began + SETTLING_S + seconds
    due = [(began + PAUSE_S * number / len(clients), number, client) for number, client in enumerate(clients)]
    number = len(clients)
    while (now := time.monotonic()) < ends:
        while due and due[0][0] <= now:
            heapq.heappop(due)[2].send(path)
        for key, _ in selector.select(max(0, due[0][0] - now) if due else 0.1):
            client = key.data
            try:
                pid = client.receive()
            except OSError:
                failures += 1
                selector.unregister(client.socket)
                continue
            if pid is None:
                continue
            now = time.monotonic()
            if now >= counts_from:
                requests[pid] += 1
                took.append((now - client.sent_at) * 1000)
            number += 1
            heapq.heappush(due, (now + PAUSE_S, number, client))
    return requests, took, failures


def measure(peer, case, options):
    with tempfile.TemporaryDirectory(prefix="stint-bench-") as folder:
        running = pools.Running(peer, Path(folder), WORKERS)
        try:
            running.wait_for_workers()
            workers = running.workers(hand_over.CLIENT)
            clients, started_with = pinned_clients(running.port)
            requests, took, failures = load(clients, CASES[case], options.seconds)
        finally:
            running.stop()
    counts = [requests[pid] for pid in {*workers, *requests}]
    peer.failures += failures
    peer.results.setdefault(case, []).append((sorted(started_with.values(), reverse=True), sorted(counts, reverse=True), took))


def ratio(counts):
    return counts[0] / counts[-1] if counts[-1] else float("inf")


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def table(measured, left_out):
    yield "| server | setting | view | connections of each worker at first | requests of each worker at last | busiest / idlest, median (min–max) | p50 ms | p99 ms | answers/s | failures |"
    yield "| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for peer in measured:
        for case, results in peer.results.items():
            first, last, _ = results[-1]
            ratios = spread([ratio(counts) for _, counts, _ in results], 2)
            p50, p99 = (spread([sorted(took)[int(share * len(took))] for _, _, took in results], 1) for share in (0.5, 0.99))
            rate = statistics.median(sum(counts) for _, counts, _ in results) / peer.seconds
            cells = [" + ".join(f"{count:,}" for count in counts) for counts in (first, last)]
            yield f"| {peer.name} {peer.version} | {peer.setting} | {case} | {cells[0]} | {cells[1]} | {ratios} | {p50} | {p99} | {rate:,.0f} | {peer.failures} |"
    for peer, why in left_out:
        yield f"\nLeft out: {peer.name}: {why}"


def main():
    parser, options = strict.comparison_arguments(__doc__, seconds=5)
    hand_over.CLIENT = strict.find_client(options.stint)
    began_load = os.getloadavg()[0]
    taking_part, left_out = run.those_that_can(run.chosen(parser, pools.peers(Peer, options.stint, WORKERS), options.only))
    for peer in taking_part:
        peer.seconds = options.seconds
    for number in range(options.rounds):
        for case in CASES:
            for peer in run.one_round(number, taking_part, left_out, lambda peer: measure(peer, case, options)):
                first, last, _ = peer.results[case][-1]
                print(f"round {number + 1}: {peer.name}, {case}: {first} connections, {last} requests", file=sys.stderr, flush=True)
    print(f"- Machine: {run.machine()}; load average when it began {began_load:.2f}")
    print(f"- {options.rounds} rounds, interleaved; the last {options.seconds} of {SETTLING_S + options.seconds} s count; columns without a spread are of the last round\n")
    print("\n".join(table(taking_part, left_out)))
    problems = []
    for peer in taking_part:
        for case, results in peer.results.items() if peer.name == "stint" else ():
            if (middle := statistics.median(ratio(counts) for _, counts, _ in results)) > MOST_RATIO:
                problems.append(f"{case}: busiest to idlest is {middle:.2f}, more than {MOST_RATIO}")
        if peer.name == "stint" and peer.failures:
            problems.append(f"{peer.failures} failures")
    for problem in problems:
        print(f"\nFAILED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
