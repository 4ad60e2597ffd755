#!/usr/bin/env python3
"""Runs fuzzers: what is kept first, then new inputs for some seconds. ./dev fuzz calls it, and ctest for each target.

    run.py --build build/fuzz                          every target, 60 seconds each
    run.py --build build/fuzz --seconds 600 toml_loader
    run.py --build build/fuzz --keep                   merge what was found interesting into corpus/

Prints one row a target: executions, the processor's seconds they took, executions in one of those, edges covered,
inputs of the growing corpus, the most memory, findings.
Exit status 1 when there was a finding; its input is then in BUILD/findings/TARGET, and the command that replays it is
printed.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
HTTP_CORPUS = HERE.parent / "conformance" / "requests"

# What a target is started with beside what all are: how long its inputs are at most, and where more seeds are.
MAX_LENGTH = {
    "access_log": 600,
    "body_decoder": 20_000,  # beyond all limits of extensions and trailers
    "control_messages": 4096,
    "differential": 11_000,  # the largest file of the HTTP corpus
    "inbox_packets": 2048,
    "pipelined_requests": 11_000,
    "request_parser": 11_000,
    "response_head": 1000,
    "toml_loader": 6000,
}
OTHER_LENGTH = 4096
SEEDS = {
    "request_parser": [HTTP_CORPUS / "valid", HTTP_CORPUS / "invalid"],
    "pipelined_requests": [HTTP_CORPUS / "valid", HTTP_CORPUS / "invalid"],
    "differential": [HTTP_CORPUS / "valid", HTTP_CORPUS / "invalid"],
    "toml_loader": [HERE.parent.parent / "config" / "examples"],
}

SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:quarantine_size_mb=32",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def targets(build):
    return sorted(path.name.removeprefix("fuzz_") for path in build.glob("fuzz_*") if os.access(path, os.X_OK))


# Targets whose inputs are made of the same words as another's.
DICTIONARY_OF = {"pipelined_requests": "request_parser", "differential": "request_parser"}


def command(build, target, *options):
    longest = MAX_LENGTH.get(target, OTHER_LENGTH)
    # A limit for one input, by the clock on the wall: on a machine with others on it a healthy one has taken 10 seconds,
    # which libFuzzer would report as a "slow unit".
    limits = ["-timeout=600", "-report_slow_units=600", "-rss_limit_mb=2048"]
    line = [str(build / f"fuzz_{target}"), f"-max_len={longest}", *limits]
    dictionary = HERE / "dictionaries" / f"{DICTIONARY_OF.get(target, target)}.dict"
    if dictionary.exists():
        line.append(f"-dict={dictionary}")
    return [*line, *options]


def kept(target):
    """The folders whose files are always run: the kept corpus, what was found once, and seeds of other tests."""
    folders = [HERE / "corpus" / target, HERE / "found" / target, *SEEDS.get(target, [])]
    return [str(folder) for folder in folders if folder.is_dir()]


class Run:
    """One run of one target."""

    def __init__(self, build, target, seconds, growing):
        self.target = target
        self.findings_folder = build / "findings" / target
        self.findings_folder.mkdir(parents=True, exist_ok=True)
        growing.mkdir(parents=True, exist_ok=True)
        before = set(self.findings_folder.iterdir())
        line = command(build, target, f"-max_total_time={seconds}", "-print_final_stats=1",
                       f"-artifact_prefix={self.findings_folder}/", str(growing), *kept(target))
        fuzzer = subprocess.Popen(line, env={**SANITIZERS, **os.environ}, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self.output = fuzzer.stdout.read()
        _, status, used = os.wait4(fuzzer.pid, 0)
        fuzzer.returncode = self.status = os.waitstatus_to_exitcode(status)
        self.cpu_seconds = used.ru_utime + used.ru_stime
        self.findings = sorted(set(self.findings_folder.iterdir()) - before)
        self.executions = self.statistic("number_of_executed_units")
        self.peak_mib = self.statistic("peak_rss_mb")
        covered = re.findall(r"cov: (\d+)", self.output)
        self.edges = int(covered[-1]) if covered else 0
        self.inputs = sum(1 for _ in growing.iterdir())

    def statistic(self, name):
        found = re.search(rf"stat::{name}:\s*(\d+)", self.output)
        return int(found.group(1)) if found else 0

    def is_good(self):
        return self.status == 0 and not self.findings

    def report(self, build):
        print(f"\n{self.target}: the end of what it said (exit status {self.status}):")
        print("".join(f"  | {line}\n" for line in self.output.splitlines()[-60:]))
        program, folder = build / f"fuzz_{self.target}", HERE / "found" / self.target
        for finding in self.findings:
            print(f"  The input: {finding} ({finding.stat().st_size} bytes)")
            print(f"  Replay:    {program} {finding}")
            smaller = f"-minimize_crash=1 -runs=100000 -exact_artifact_path={finding}.small"
            print(f"  Smaller:   {program} {smaller} {finding}")
            print(f"  Keep it:   mkdir -p {folder} && cp {finding} {folder}/NAME")


def keep(build, target, growing):
    """Replaces corpus/TARGET by the smallest files that reach what all known inputs together reach."""
    folder = HERE / "corpus" / target
    with tempfile.TemporaryDirectory(dir=build) as made:
        # Seeds of other tests come first: what they reach is kept where they are.
        seeds = [str(path) for path in SEEDS.get(target, []) if path.is_dir()]
        merged, seeded = pathlib.Path(made) / "merged", pathlib.Path(made) / "seeded"
        merged.mkdir()
        seeded.mkdir()
        for seed in seeds:
            for path in pathlib.Path(seed).iterdir():
                if path.is_file():
                    shutil.copy(path, seeded / path.name)
        known = {path.name for path in seeded.iterdir()}
        sources = [str(path) for path in (growing, folder) if path.is_dir()]
        into = seeded if seeds else merged
        # By edges alone, not by how often one is passed: a tenth of the files.
        crashes = pathlib.Path(made) / "crashes"
        crashes.mkdir()
        prefix = f"-artifact_prefix={crashes}/"
        subprocess.run(command(build, target, "-merge=1", "-use_counters=0", prefix, str(into), *sources),
                       env={**SANITIZERS, **os.environ}, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # A merge passes over what crashes, and would forget what such inputs reach.
        if any(crashes.iterdir()):
            sys.exit(f"{target}: some of its inputs are findings; run it, mend what it finds, then keep")
        fresh = [path for path in into.iterdir() if path.name not in known]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in fresh:
            shutil.copy(path, folder / path.name[:16])
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{target}: {len(fresh)} inputs, {size / 1024:.0f} KiB kept in {folder}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where the preset fuzz was built")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--short", action="store_true", help="start from what is kept alone, and forget new inputs")
    parser.add_argument("--keep", action="store_true", help="run nothing; merge the growing corpus into the kept one")
    parser.add_argument("target", nargs="*", help="all of them when none is named")
    given = parser.parse_args()
    build = given.build.resolve()
    all_targets = targets(build)
    if not all_targets:
        parser.error(f"no fuzzers in {build}: ./dev fuzz builds them")
    for target in given.target:
        if target not in all_targets:
            parser.error(f"no target {target}; there are {', '.join(all_targets)}")

    runs = []
    for target in given.target or all_targets:
        growing = build / "corpus" / target
        if given.keep:
            keep(build, target, growing)
            continue
        if given.short:
            with tempfile.TemporaryDirectory(dir=build) as folder:
                runs.append(Run(build, target, given.seconds, pathlib.Path(folder)))
        else:
            print(f"{target}: {given.seconds} s …", flush=True)
            runs.append(Run(build, target, given.seconds, growing))
        if not runs[-1].is_good():
            runs[-1].report(build)
    if runs:
        row = "{:<20} {:>12} {:>7} {:>9} {:>6} {:>6} {:>5}  {}".format
        print("\n" + row("target", "executions", "CPU s", "per CPU s", "edges", "inputs", "MiB", "findings"))
        for run in runs:
            rate = run.executions / max(run.cpu_seconds, 0.01)
            findings = "none" if run.is_good() else len(run.findings) or "failed"
            print(row(run.target, run.executions, round(run.cpu_seconds), round(rate), run.edges, run.inputs,
                      run.peak_mib, findings))
    sys.exit(0 if all(run.is_good() for run in runs) else 1)


if __name__ == "__main__":
    main()
