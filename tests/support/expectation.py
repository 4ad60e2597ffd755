"""What the Python stories share: what was expected and not seen, and how long to wait for it. Standard library only.

A slow machine is no failure, so the wait is generous (for C++: eventually.h).
"""

import time

PATIENCE = 90  # seconds until something that has to happen counts as never happening


class Failure(Exception):
    """What was expected of Stint and not seen."""


def expect(what, condition, *seen):
    if not condition:
        raise Failure(f"{what}; seen: {', '.join(repr(s)[:600] for s in seen)}")


def eventually(what, question):
    """The first true answer of question()."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.02)
    raise Failure(f"did not happen within {PATIENCE} s: {what}")
