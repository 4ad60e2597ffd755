"""What the suites share: their command line, what they count, and how an exception of README.md is met."""

import argparse
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

from fetch import HERE, pins


class Case:
    good = ()  # outcomes that need no exception
    outcome = ""


class Suite:
    def __init__(self, description, **choices):
        arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        arguments.add_argument("--stint", type=Path, required=True)
        arguments.add_argument("--foreign", type=Path, required=True, help="the folder that fetch.py filled")
        arguments.add_argument("--only", default="", help="only cases with this in their name")
        for name, values in choices.items():
            arguments.add_argument(f"--{name}", choices=list(values), required=True)
        self.options = options = arguments.parse_args()
        self.stint, self.folder, self.only = options.stint.resolve(), options.foreign.resolve(), options.only
        self.venv = self.folder / "venv"
        self.passed, self.excepted, self.failed = 0, 0, 0

    def source(self, name):
        """The folder of a source distribution, in the version that sources.txt pins."""
        (version,) = [version for pinned, version, _ in pins(HERE / "sources.txt") if pinned.lower() == name]
        return self.folder / f"{name}-{version}"

    def tell(self, title, story):
        """One test without exceptions: a function that raises when something is wrong."""
        if self.only not in title:
            return
        started = time.monotonic()
        try:
            story()
        except Exception as failure:
            self.failed += 1
            print(f"FAILED  {title}: {type(failure).__name__}: {failure}", flush=True)
            traceback.print_exc(limit=-6, file=sys.stdout)
            return
        self.passed += 1
        print(f"ok  {title}  ({time.monotonic() - started:.2f} s)", flush=True)

    @contextmanager
    def case(self, name, listed):
        """One test: its outcome is one of the good ones, or what README.md says of it."""
        case = Case()
        try:
            yield case
        except Exception as failure:
            self.failed += 1
            print(f"FAILED  {name}: {type(failure).__name__}: {failure}", flush=True)
            traceback.print_exc(limit=-6, file=sys.stdout)
            return
        said = listed.find(name)
        if said is None and case.outcome in case.good:
            self.passed += 1
        elif said == case.outcome:
            self.excepted += 1
        else:
            self.failed += 1
            print(f"FAILED  {name}: {case.outcome}; README.md: {said or 'not listed'}", flush=True)

    def end(self, listed=None):
        for pattern in listed.unmet() if listed and not self.only else []:
            self.failed += 1
            print(f"FAILED  README.md lists {pattern}, and there is no such test", flush=True)
        print(f"{self.passed} passed, {self.excepted} as the exceptions say, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0
