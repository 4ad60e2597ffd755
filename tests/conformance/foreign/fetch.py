"""Fetches what others wrote: a virtual environment with frameworks and clients, and source distributions with their tests,
into one folder of the build. Run by ./dev test and ./dev conformance.

    fetch.py --into build/foreign

Everything is pinned by its hash (sources.txt, requirements.txt, the demo site's requirements.txt). A source distribution
that is there and has its hash is not fetched again. Standard library and pip only.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEMO_SITE = HERE.parents[1] / "apps/demo_site/requirements.txt"
WANTED = ("tests/", "examples/tutorial/")  # of a source distribution; what they test comes from packages
PIP = ["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]


def pins(requirements):
    """The (name, version, hash) of each requirement of a file; the first hash of several."""
    text = requirements.read_text().replace("\\\n", " ")
    return re.findall(r"^([\w.-]+)==(\S+)\s+--hash=sha256:([0-9a-f]{64})", text, re.MULTILINE)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def archive_of(folder, digest):
    """The archive in `folder` with that hash; one with another hash is an error, not something to fetch over."""
    found = sorted(folder.glob("*.tar.gz"))
    for path in found:
        if sha256(path) != digest:
            sys.exit(f"{path} has SHA-256 {sha256(path)}, not {digest}; remove it")
    return found[0] if found else None


def fetch_source(python, name, version, digest, into):
    """Unpacked in into/NAME-VERSION; the archive is kept beside it in a folder named by its hash."""
    folder = into / "archives" / digest
    archive = archive_of(folder, digest)
    if not archive:
        folder.mkdir(parents=True, exist_ok=True)
        pin = folder / "requirements.txt"
        pin.write_text(f"{name}=={version} --hash=sha256:{digest}\n")
        # pip asks a source distribution for its metadata, for which it fetches the project's build tool, as a wheel.
        subprocess.run(
            [python, *PIP, "download", "--no-deps", "--no-binary", name, "--require-hashes", "-r", pin, "-d", folder],
            check=True,
        )
        archive = archive_of(folder, digest)
    unpacked = into / f"{name.lower()}-{version}"
    if not unpacked.is_dir():
        unfinished = into / f"unfinished-{name}"
        shutil.rmtree(unfinished, ignore_errors=True)
        with tarfile.open(archive) as tar:
            # Its hash is pinned: these are the names that somebody looked at.
            wanted = [member for member in tar.getmembers() if member.name.partition("/")[2].startswith(WANTED)]
            tar.extractall(unfinished, wanted)
        (content,) = unfinished.iterdir()
        content.rename(unpacked)
        unfinished.rmdir()
    print(f"{unpacked}", flush=True)


def make_venv(into):
    venv = into / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
    subprocess.run(
        [venv / "bin/python", *PIP, "install", "--only-binary", ":all:", "--require-hashes",
         "-r", DEMO_SITE, "-r", HERE / "requirements.txt"],
        check=True,
    )  # fmt: skip
    print(f"{venv}", flush=True)
    return venv / "bin/python"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--into", type=Path, required=True)
    into = arguments.parse_args().into.absolute()
    into.mkdir(parents=True, exist_ok=True)

    sources, site = pins(HERE / "sources.txt"), pins(DEMO_SITE)
    django = {version for name, version, _ in sources + site if name == "Django"}
    if len(django) != 1:
        sys.exit(f"sources.txt and {DEMO_SITE} pin different releases of Django: {sorted(django)}")
    python = make_venv(into)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda source: fetch_source(python, *source, into), sources))


if __name__ == "__main__":
    main()
