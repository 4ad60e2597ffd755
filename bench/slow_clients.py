#!/usr/bin/env python3
"""What ten thousand slow clients cost the others, and what each of them costs in memory and processor time.

    bench/slow_clients.py --stint build/release/stint [--clients N] [--rounds N] [--seconds S] [--only PART,…]

Slow clients send or read one byte a second, spread evenly over the second: a third each is in a request's head, in its
body, and in reading an answer. The application answers 13 bytes.
  others      the latency of a few kept-alive connections at a pace that leaves the machine room: without slow clients,
              with them, and without again, in each round, with one worker and with two
  memory      what one more connection of each kind takes: of the worker, and of the kernel (both ends of it)
  generator   2 GiB yielded to a client that reads slowly: how far ahead of the client the iterable is asked, and by how
              much the worker grows
Prints Markdown. Standard library only.
"""

import argparse
import json
import os
import re
import resource
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import run
import strict

PARTS = ("others", "memory", "generator")
KINDS = ("head", "body", "read")
FILE_MIB = 16  # of the file that is read slowly: more than the kernel buffers
CONNECTIONS, PAUSE_MS = 8, 4  # of the others
GENERATED_MIB = 2048
PEAK_MIB = 20  # what the worker may grow by

STINT_TOML = """listen = ["127.0.0.1:{port}"]

[app]
module = "slow_clients:application"
directory = {apps}

[app.workers]
count = {workers}
request_timeout = 0

[app.recycle]
max_requests = 0

[http]
head_timeout = "1h"
body_timeout = "1h"
idle_timeout = "1h"
write_timeout = "1h"
max_connections = {most}

[[static]]
url = "/static/"
root = {folder}

[control]
socket = {control}

[log]
level = "warning"
access = ""
"""


class Running(strict.Running):
    """Stint with time-outs that no slow client reaches, and room for all of them in each worker."""

    def __init__(self, options, folder, workers):
        self.port = run.free_port()
        self.stint = options.stint
        self.folder = folder
        (folder / "large").write_bytes(bytes(FILE_MIB * 1024**2))
        (folder / "stint.toml").write_text(
            STINT_TOML.format(
                port=self.port,
                apps=json.dumps(str(run.APPS)),
                folder=json.dumps(str(folder)),
                control=json.dumps(str(folder / "control.sock")),
                workers=workers,
                most=options.clients + 100,
            )
        )
        self.start([str(options.stint), "serve", "-c", str(folder / "stint.toml")], folder / "stint.log")
        strict.wait_until(lambda: len(self.pids()) == workers)

    def pids(self):
        return strict.ready_workers(self.stint, self.folder)

    def processor_seconds_of_workers(self):
        return sum(
            int(Path(task, "schedstat").read_text().split()[0]) / 1e9
            for pid in self.pids()
            for task in Path(f"/proc/{pid}/task").iterdir()
        )

    def connections(self):
        told = json.loads(strict.control(self.stint, self.folder, "status", "--json"))
        return [worker["connections"] for worker in told["pool"]["workers"]]


class SlowClients:
    """stint-slow-clients beside the measurement, all connected and accepted; ended at the end of the block."""

    def __init__(self, options, running, kinds, seconds):
        self.expected = sum(kinds.values())
        self.running = running
        command = [options.slow, running.address, "--seconds", seconds + 120, "--read-path", "/static/large"]
        command += [word for kind, count in kinds.items() for word in (f"--{kind}", count)]
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        if self.process.stdout.readline() != "all open\n":
            raise RuntimeError("the slow clients did not connect")
        if not strict.wait_until(lambda: sum(self.running.connections()) >= self.expected):
            raise RuntimeError(f"of {self.expected} slow clients the workers have {self.running.connections()}")
        time.sleep(3)  # what is read slowly has filled the kernel's buffers, and each has had its turn
        return self

    def __exit__(self, *exception):
        self.process.terminate()
        self.told = json.loads(self.process.communicate()[0])
        if exception[0] is None:
            strict.wait_until(lambda: sum(self.running.connections()) == 0)

    def problems(self):
        """What became of slow clients other than that they were still at it."""
        for kind, told in self.told["kinds"].items():
            for name in ("answered", "refused", "truncated", "closed", "resets"):
                if told[name]:
                    yield f"{told[name]} in {kind}: {name}"
        if self.told["failed_connects"]:
            yield f"{self.told['failed_connects']} failed to connect"


def thirds(count):
    return {kind: (count + place) // 3 for place, kind in enumerate(KINDS)}


# --- others -------------------------------------------------------------------------------------------------------------
def others(options, running):
    """Milliseconds at p50, p99, p99.9, of the others; their answers; processor time of the workers, in seconds."""
    used = running.processor_seconds_of_workers()
    told = strict.load(
        options.client, running.address, "--connections", CONNECTIONS, "--pause", PAUSE_MS, "--requests", 10**9,
        "--seconds", options.seconds, "--path", "/", "--body", "Hello, World!",
    )  # fmt: skip
    used = running.processor_seconds_of_workers() - used
    if told["failures"] or told["idle_closes"]:
        raise RuntimeError(f"the others failed: {told['examples']}")
    return {"p50": told["p50_us"] / 1000, "p99": told["p99_us"] / 1000, "p99.9": told["p999_us"] / 1000,
            "answers": told["answers"], "used": used}  # fmt: skip


class Others:
    def __init__(self, workers):
        self.workers = workers
        self.quiet = []  # two a round
        self.slow = []  # one
        self.used = []  # by the slow clients alone: seconds a second
        self.spread = []  # their connections over the workers
        self.late = []  # ms that a byte was late
        self.own = []  # processor time of the slow clients themselves, seconds a second
        self.problems = []


def measure_others(options, result):
    with tempfile.TemporaryDirectory(prefix="stint-slow-") as name:
        running = Running(options, Path(name), result.workers)
        try:
            others(options, running)  # warmed up
            for number in range(options.rounds):
                result.quiet.append(others(options, running))
                slow = SlowClients(options, running, thirds(options.clients), 3 * options.seconds)
                with slow:
                    result.spread.append(running.connections())
                    began, used = time.monotonic(), running.processor_seconds_of_workers()
                    time.sleep(options.seconds)
                    used = running.processor_seconds_of_workers() - used
                    result.used.append(used / (time.monotonic() - began))
                    result.slow.append(others(options, running))
                result.problems += slow.problems()
                result.late.append(slow.told["latest_us"] / 1000)
                result.quiet.append(others(options, running))
                print(
                    f"{result.workers} workers, round {number + 1}: p99 {result.quiet[-2]['p99']:.2f} ms,"
                    f" with slow clients {result.slow[-1]['p99']:.2f} ms, again without {result.quiet[-1]['p99']:.2f} ms",
                    file=sys.stderr,
                    flush=True,
                )
        finally:
            running.stop()


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def ratios(result, name):
    """Of each round with slow clients to the middle of what was before and after it."""
    before, after = result.quiet[0::2], result.quiet[1::2]
    return [
        slow[name] / ((one[name] + other[name]) / 2) for slow, one, other in zip(result.slow, before, after, strict=True)
    ]


def table_of_others(results):
    yield "| workers | percentile | without, ms, median (min–max) | with, ms, median (min–max) | ratio of a round, median (min–max) |"
    yield "| ---: | --- | ---: | ---: | ---: |"
    for result in results:
        for name in ("p50", "p99", "p99.9"):
            quiet, slow = ([one[name] for one in some] for some in (result.quiet, result.slow))
            yield f"| {result.workers} | {name} | {spread(quiet)} | {spread(slow)} | {spread(ratios(result, name))} |"
    yield ""
    for result in results:
        answers = statistics.median(one["answers"] for one in result.slow) / result.options.seconds
        quiet = statistics.median(one["used"] / one["answers"] * 1e6 for one in result.quiet)
        yield (
            f"{result.workers} worker{'s' if result.workers > 1 else ''}: connections of the workers"
            f" {', '.join(' + '.join(map(str, some)) for some in result.spread)}; for the slow clients alone"
            f" {statistics.median(result.used) * 100:.1f} % of one processor in all workers"
            f" ({statistics.median(result.used) / result.options.clients * 1e6:.1f} µs a byte); the others had {answers:,.0f} answers a second"
            f" at {quiet:.0f} µs of processor time each; the latest slow byte was {max(result.late):.0f} ms late."
        )


# --- memory -------------------------------------------------------------------------------------------------------------
def kib(text, row):
    return int(re.search(rf"^{row}:\s*(\d+)", text, re.MULTILINE)[1])


def memory(pid):
    """KiB: private and shared of the worker; slabs, shared memory and TCP's buffers of the whole machine."""
    status, machine = Path(f"/proc/{pid}/status").read_text(), Path("/proc/meminfo").read_text()
    pages = int(re.search(r"^TCP:.* mem (\d+)", Path("/proc/net/sockstat").read_text(), re.MULTILINE)[1])
    return {
        "private": kib(status, "RssAnon"),
        "shared": kib(status, "RssShmem"),
        "slabs": kib(machine, "SUnreclaim"),
        "files": kib(machine, "Shmem"),
        "buffers": pages * resource.getpagesize() // 1024,
    }


def measure_memory(options, kind, count):
    """KiB a connection."""
    with tempfile.TemporaryDirectory(prefix="stint-slow-") as name:
        running = Running(options, Path(name), 1)
        try:
            strict.load(options.client, running.address, "--requests", 1000, "--path", "/")
            (pid,) = running.pids()
            running.connections()  # what `status` makes the supervisor read is read
            before = memory(pid)
            slow = SlowClients(options, running, {kind: count}, 0)
            with slow:
                after = memory(pid)
            problems = list(slow.problems())
        finally:
            running.stop()
    if problems:
        raise RuntimeError("; ".join(problems))
    return {name: (after[name] - before[name]) / count for name in before}


def table_of_memory(rows):
    yield (
        "| connections | that | worker: private | worker: its slot in the shared table | kernel: slabs, both ends"
        " | kernel: TCP buffers, both ends | files in memory, slots included |"
    )
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: |"
    for count, what, row in rows:
        columns = " | ".join(f"{row[name]:.1f}" for name in ("private", "shared", "slabs", "buffers", "files"))
        yield f"| {count:,} | {what} | {columns} |"


# --- generator ----------------------------------------------------------------------------------------------------------
def measure_generator(options, kib_of_piece):
    """MiB the worker grew by, MiB the iterable was ahead of the client at most, seconds."""
    with tempfile.TemporaryDirectory(prefix="stint-slow-") as name:
        running = Running(options, Path(name), 1)
        try:
            strict.load(options.client, running.address, "--requests", 1000, "--path", "/")
            (pid,) = running.pids()
            asked = Path(name, "asked")
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins here (proc_pid_clear_refs(5))
            before = kib(Path(f"/proc/{pid}/status").read_text(), "VmHWM")
            began, received, ahead = time.monotonic(), 0, 0
            with socket.create_connection(("127.0.0.1", running.port)) as client:
                path = f"/pieces?mib={GENERATED_MIB}&kib={kib_of_piece}&asked={asked}"
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
                strict.wait_until(asked.exists)
                for _ in range(50):  # at first it reads a hundred bytes a second
                    received += len(client.recv(10))
                    time.sleep(0.1)
                while piece := client.recv(131072):
                    received += len(piece)
                    pieces = struct.unpack("Q", asked.read_bytes().ljust(8, b"\0"))[0]
                    ahead = max(ahead, pieces * kib_of_piece * 1024 - received)
                    time.sleep(0.0005)
            took = time.monotonic() - began
            peak = kib(Path(f"/proc/{pid}/status").read_text(), "VmHWM")
        finally:
            running.stop()
    if received < GENERATED_MIB * 1024**2:
        raise RuntimeError(f"only {received} bytes of the generator came")
    return (peak - before) / 1024, ahead / 1024**2, took


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stint", type=Path, default=run.ROOT / "build/release/stint")
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6, help="of each measurement of the others")
    parser.add_argument("--only", help=f"of {', '.join(PARTS)}, separated by commas")
    options = parser.parse_args()
    options.parts = options.only.split(",") if options.only else PARTS
    if min(options.clients, options.rounds, options.seconds) < 1 or not set(options.parts) <= set(PARTS):
        parser.error(f"clients, rounds and seconds are at least 1, parts are {', '.join(PARTS)}")
    options.stint = options.stint.absolute()
    options.client = strict.find_client(options.stint)
    options.slow = strict.find_client(options.stint, "stint-slow-clients")
    return parser, options


def allow_descriptors(parser, clients):
    """For a worker, which has a file for each body beside its connection. Stint and the slow clients raise their soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients * 4 // 3 + 1000
    if hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, PermissionError):
            parser.error(f"{wanted} open files are needed for {clients} clients, and `ulimit -Hn` is {hard}")


def main():
    parser, options = arguments()
    allow_descriptors(parser, options.clients)
    print(f"- Machine: {run.machine()}; load average when it began {os.getloadavg()[0]:.2f}")
    problems = []
    if "others" in options.parts:
        results = [Others(1), Others(2)]
        for result in results:
            result.options = options
            measure_others(options, result)
            problems += result.problems
        print(f"- {options.clients:,} slow clients, a byte a second each: {', '.join(f'{n:,} in {kind}' for kind, n in thirds(options.clients).items())}")
        print(f"- The others: {CONNECTIONS} kept-alive connections, {PAUSE_MS} ms between an answer and the next request;")
        print(f"  {options.rounds} rounds of {options.seconds} s without slow clients, with them, and without again\n")
        print("\n".join(table_of_others(results)))
        for result in results:
            ratio = statistics.median(ratios(result, "p99"))
            if ratio > 2:
                problems.append(f"{result.workers} workers: the others' p99 is {ratio:.2f} times what it is without slow clients")
    if "memory" in options.parts:
        many, few = options.clients // 2, max(1, options.clients // 50)  # a file for each body: as many descriptors again
        kinds = [("idle", "are idle after an answer", many), ("head", "are in a head", many),
                 ("body", "are in a body", many), ("read", "read an answer", many), ("read", "read an answer", few)]  # fmt: skip
        rows = [(count, what, measure_memory(options, kind, count)) for kind, what, count in kinds]
        limit = int(Path("/proc/sys/net/ipv4/tcp_mem").read_text().split()[2]) * resource.getpagesize() // 1024**2
        print("\nMemory of one connection, KiB, as the difference that all of them make:\n")
        print("\n".join(table_of_memory(rows)))
        print(f"\nThe kernel lets all TCP buffers together have at most {limit:,} MiB (net.ipv4.tcp_mem).")
    if "generator" in options.parts:
        print(f"\n{GENERATED_MIB} MiB from a generator to a client that at first reads 100 bytes a second, then all it can in 128 KiB steps with a pause after each:\n")
        print("| pieces of, KiB | worker grew at most by, MiB | iterable ahead of the client at most, MiB | took, s |")
        print("| ---: | ---: | ---: | ---: |")
        for kib_of_piece in (16, 64, 1024):
            grew, ahead, took = measure_generator(options, kib_of_piece)
            print(f"| {kib_of_piece} | {grew:.1f} | {ahead:.1f} | {took:.0f} |", flush=True)
            if grew > PEAK_MIB:
                problems.append(f"the worker grew by {grew:.1f} MiB while a generator waited for its client")
    for problem in problems:
        print(f"\nFAILED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
