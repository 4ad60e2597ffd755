"""Runs one suite with the Python of the fetched virtual environment. ctest's entry, which any Python can run.

    run.py SUITE.py --stint build/release/stint [ARGUMENTS]

STINT_TEST_FOREIGN is the folder that fetch.py filled. Standard library only.
"""

import os
import sys
from pathlib import Path

SKIPPED = 77  # ctest's SKIP_RETURN_CODE

folder = os.environ.get("STINT_TEST_FOREIGN")
if not folder:
    print("STINT_TEST_FOREIGN is not set (./dev test and ./dev conformance fetch what it names)", file=sys.stderr)
    sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"  # every client here talks to this machine
python = Path(folder).absolute() / "venv/bin/python"
suite = Path(__file__).resolve().parent / sys.argv[1]
os.execv(python, [python, "-B", suite, *sys.argv[2:], "--foreign", folder])
