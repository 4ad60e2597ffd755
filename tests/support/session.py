"""A server that a Python story has started in a session of its own, so that every process it ever starts can be found (for
C++: process_table.h). Standard library only.
"""

import os
import signal
from pathlib import Path


def processes_of_session(leader):
    """Every living process of the session: pid and name."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                name, state_and_ids = Path(entry.path, "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            except OSError:
                continue  # gone meanwhile
            state, _parent, _group, session = state_and_ids.split()[:4]
            if int(session) == leader and state not in "ZX":
                found.append((int(entry.name), name))
    return found


def kill_session(leader):
    """After a failure: whatever is left of it."""
    for pid, _ in processes_of_session(leader):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
