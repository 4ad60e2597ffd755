"""The exceptions of README.md, read by the tests: what is not in its tables has to pass, and what is in them has to be as
they say. So the list is complete and stays so."""

import fnmatch
import re
from pathlib import Path

README = Path(__file__).resolve().parent / "README.md"


class Exceptions:
    """The rows of the table below one heading: `names` in the first cell, what Stint does in the second, why in the last."""

    def __init__(self, heading):
        section = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", README.read_text(), re.MULTILINE | re.DOTALL)
        if not section:
            raise LookupError(f"{README} has no section '{heading}'")
        self.rows = []
        for line in section[1].splitlines():
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            names = re.findall(r"`([^`]+)`", cells[0]) if len(cells) == 3 else []
            for name in names:
                self.rows.append((name, cells[1], cells[2]))
        self.met = set()

    def find(self, name):
        """What Stint does instead, as the table says it; None when nothing is said about that name."""
        for pattern, outcome, _why in self.rows:
            if name == pattern or fnmatch.fnmatchcase(name, pattern):
                self.met.add(pattern)
                return outcome
        return None

    def unmet(self):
        """Rows that no test asked for: their test is gone, and they have to go too."""
        return [pattern for pattern, _, _ in self.rows if pattern not in self.met]
