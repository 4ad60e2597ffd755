#!/usr/bin/env python3
"""Deploy after deploy on Stint under load: good ones, broken ones, changes of settings, upgrades of Stint itself. Exit code
1 when one is noticed.

    bench/soak_reloads.py --stint build/release/stint [--reloads N] [--broken N] [--settings N] [--upgrades N] [--all N]

A Django site (apps/versioned_site.py) on two workers; kept-alive, pipelined and new connections over TCP and a unix socket,
all the time. Bounds: no failed request and no unannounced close; the old version answers no request that was sent after
`stint reload --wait` had returned; a broken deploy changes nothing; p99.9 within three times that of the steady seconds
before; no gap in the answers above 50 ms; and from the fifth to the N-th reload the supervisor grows by less than 1 MiB.
Prints Markdown. Standard library only.
"""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import deploys
import run
import strict

STEADY_SECONDS = 20
MOST_GAP_MS = 50
MOST_SLOWER = 3
MOST_GROWTH_KIB = 1024

STINT_TOML = """listen = [{listen}]

[app]
module = "versioned_site:application"
directory = "{folder}"
venv = "{venv}"

[app.workers]
count = {count}

[app.warmup]
requests = ["/"]

[app.recycle]
max_requests = {max_requests}

[reload]
settle = "200ms"

[control]
socket = "{folder}/control.sock"

[log]
access = ""
"""

BROKEN = deploys.BROKEN | {
    "failing warm-up": "class VERSION:\n    def __str__(self):\n        raise ValueError('cold')\nVERSION = VERSION()\n"
}
# Each changes one thing against the settings at the beginning.
SETTINGS = [
    ("one worker more", {"count": 3}),
    ("back", {}),
    ("a listener more", {"extra": ', "unix:{folder}/extra.sock"'}),
    ("back", {}),
    ("workers recycled", {"max_requests": 1000}),
]


class Site(strict.Running):
    def __init__(self, stint, folder):
        self.stint = folder / "bin/stint"
        self.built = stint
        self.install()
        self.port = run.free_port()
        self.folder = folder
        self.version = 1
        self.returned_at = {}  # of each version: when the command that brought it had returned
        self.problems = []
        deploys.make_site(folder)
        self.write_settings()
        self.start([str(self.stint), "serve", "-c", str(folder / "stint.toml")], folder / "stint.log", folder)

    @property
    def addresses(self):
        return [self.address, f"unix:{self.folder}/site.sock"]

    def write_settings(self, count=2, max_requests=0, extra=""):
        listen = f'"127.0.0.1:{self.port}", "unix:{self.folder}/site.sock"' + extra.format(folder=self.folder)
        text = STINT_TOML.format(
            listen=listen, folder=self.folder, venv=run.VENV, count=count, max_requests=max_requests
        )
        (self.folder / "stint.toml").write_text(text)

    def wait_until_it_answers(self):
        if not strict.wait_until(lambda: len(strict.ready_workers(self.stint, self.folder)) == 2):
            raise run.Unusable(f"does not start: {self.log.read_text(errors='replace')[-400:]}")

    def reload(self, *options):
        return self.run("reload", "--wait", *options)

    def run(self, *words):
        command = [self.stint, *words, "--socket", self.folder / "control.sock"]
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def must(self, holds, what):
        if not holds:
            self.problems.append(what)

    def deploy(self):
        self.version += 1
        deploys.deploy(self.folder, self.version)
        done = self.reload()
        self.returned_at[self.version] = time.monotonic()
        self.must(done.returncode == 0, f"reload to version {self.version}: {done.stderr}")

    def deploy_broken(self, name):
        before = strict.ready_workers(self.stint, self.folder)
        deploys.write(self.folder, BROKEN[name])
        done = self.reload()
        self.must(done.returncode == 1, f"{name}: exit code {done.returncode}: {done.stdout}")
        self.must("reload failed" in done.stderr, f"{name}: says {done.stderr!r}")
        same = strict.wait_until(lambda: strict.ready_workers(self.stint, self.folder) == before)
        self.must(same, f"{name}: the workers were {before}")
        deploys.deploy(self.folder, self.version)

    def change_settings(self, name, values):
        self.write_settings(**values)
        done = self.reload("--settings")
        self.must(done.returncode == 0, f"settings, {name}: {done.stderr}")
        count = values.get("count", 2)
        same = strict.wait_until(lambda: len(strict.ready_workers(self.stint, self.folder)) >= count)
        self.must(same, f"settings, {name}: there are not {count} workers")

    def install(self):
        """Stint and its modules for Python, as a package manager exchanges them."""
        self.stint.parent.mkdir(exist_ok=True)
        for file in self.built.parent.glob("stint-embed-*.so"):
            shutil.copy(file, self.stint.parent / f"{file.name}.new")
            (self.stint.parent / f"{file.name}.new").rename(self.stint.parent / file.name)
        shutil.copy(self.built, self.stint.with_suffix(".new"))
        self.stint.with_suffix(".new").rename(self.stint)

    def upgrade(self):
        self.version += 1
        deploys.deploy(self.folder, self.version)
        self.install()
        done = self.run("upgrade", "--wait")
        self.returned_at[self.version] = time.monotonic()
        self.must(done.returncode == 0, f"upgrade with version {self.version}: {done.stderr}")
        runs = os.path.samefile(f"/proc/{self.process.pid}/exe", self.stint)
        self.must(runs, "upgrade: the supervisor does not run the new program")

    def resident_kib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


class Phase:
    def __init__(self, name, count):
        self.name = name
        self.count = count
        self.seconds = 0.0
        self.report = None


def under_load(site, options, name, count, what):
    """`what` so many times, beside the clients."""
    phase = Phase(name, count)
    clients = deploys.Clients(options.client, site.addresses)
    try:
        time.sleep(0.5)
        began = time.monotonic()
        for number in range(count):
            what(number)
        phase.seconds = time.monotonic() - began
        time.sleep(0.5)
        phase.report = clients.report()
    finally:
        clients.stop()
    report = phase.report
    site.must(not report["failures"], f"{name}: {report.failures_by_kind()}: {'; '.join(report.examples)}")
    site.must(not report["idle_closes"], f"{name}: {report['idle_closes']} unannounced closes")
    for version, at in report.last_request.items():
        gone_at = site.returned_at.get(int(version) + 1)
        if gone_at is not None:
            site.must(at <= gone_at, f"{name}: version {version} answered {(at - gone_at) * 1000:.1f} ms after it was replaced")
    print(f"{name}: {phase.seconds:.0f} s, {report['failures']} failures", file=sys.stderr, flush=True)
    return phase


def judge(site, phases):
    steady = phases[0].report.percentile(0.999)
    for phase in phases[1:]:
        p999, gap = phase.report.percentile(0.999), phase.report.longest_gap
        site.must(p999 <= MOST_SLOWER * steady, f"{phase.name}: p99.9 is {p999:.1f} ms, steady it is {steady:.1f} ms")
        site.must(gap <= MOST_GAP_MS, f"{phase.name}: for {gap:.0f} ms a client got no answer")


def table(phases):
    steady = phases[0].report.percentile(0.999)
    yield (
        "| what | times | seconds | requests | failures | closes (unannounced, announced) | p50 ms | p99 ms"
        " | p99.9 ms (× steady) | longest gap ms |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for phase in phases:
        report = phase.report
        p50, p99, p999 = (report.percentile(share) for share in (0.5, 0.99, 0.999))
        yield (
            f"| {phase.name} | {phase.count} | {phase.seconds:.0f} | {report['answers']:,} | {report.failures_by_kind()}"
            f" | {report['idle_closes']}, {report['announced_closes']} | {p50:.2f} | {p99:.2f}"
            f" | {p999:.2f} ({p999 / max(steady, 0.001):.2f}) | {report.longest_gap:.1f} |"
        )


def soak(options, site):
    """All phases, the supervisor's growth in KiB, and over how many reloads."""
    for _ in range(5):
        site.deploy()
    resident, first = site.resident_kib(), site.version
    names, changes = itertools.cycle(BROKEN), itertools.cycle(SETTINGS)
    phases = [
        under_load(site, options, "nothing", 1, lambda _: time.sleep(STEADY_SECONDS)),
        under_load(site, options, "reload", options.reloads, lambda _: site.deploy()),
        under_load(site, options, "broken reload", options.broken, lambda _: site.deploy_broken(next(names))),
        under_load(site, options, "settings", options.settings, lambda _: site.change_settings(*next(changes))),
    ]
    site.write_settings()
    site.must(site.reload("--settings").returncode == 0, "settings: not back at the end")
    rest = options.all - (site.version - first)
    if rest > 0:
        phases.append(under_load(site, options, "reload", rest, lambda _: site.deploy()))
    growth, reloads = site.resident_kib() - resident, site.version - first
    phases.append(under_load(site, options, "upgrade", options.upgrades, lambda _: site.upgrade()))
    return phases, growth, reloads


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stint", type=Path, default=run.ROOT / "build/release/stint")
    parser.add_argument("--reloads", type=int, default=50)
    parser.add_argument("--broken", type=int, default=20, help="deploys that are broken, in five ways")
    parser.add_argument("--settings", type=int, default=10, help="changes of settings")
    parser.add_argument("--upgrades", type=int, default=10, help="of Stint itself, with a new version of the site")
    parser.add_argument("--all", type=int, default=200, help="reloads in all, for the supervisor's memory")
    options = parser.parse_args()
    if min(options.reloads, options.broken, options.settings, options.upgrades, options.all) < 1:
        parser.error("each is at least 1")
    options.stint = options.stint.absolute()
    options.client = strict.find_client(options.stint)
    return options


def main():
    options = arguments()
    load_before = os.getloadavg()[0]
    django = deploys.install_django()
    with tempfile.TemporaryDirectory(prefix="stint-soak-") as name:
        site = Site(options.stint, Path(name))
        try:
            phases, growth, reloads = soak(options, site)
        finally:
            site.stop()
    judge(site, phases)
    site.must(growth < MOST_GROWTH_KIB, f"the supervisor has grown by {growth} KiB in {reloads} reloads")
    print(f"- Machine: {run.machine()}; load average when it began {load_before:.2f}")
    print(f"- Django {django}, two workers; {', '.join(deploys.CLIENTS)}, over TCP and a unix socket\n")
    print("\n".join(table(phases)))
    print(f"\nThe supervisor's resident memory grew by {growth} KiB in {reloads} reloads, {options.broken} broken ones")
    print(f"and {options.settings} changes of settings.")
    for problem in site.problems:
        print(f"\nFAILED: {problem}")
    return 1 if site.problems else 0


if __name__ == "__main__":
    sys.exit(main())
