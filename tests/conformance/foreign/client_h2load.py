"""h2load --h1 against Stint: many kept-alive connections as fast as they go, with pipelining and bodies, and workers that
are replaced meanwhile. No request may fail.

    client_h2load.py --stint build/release/stint --foreign build/foreign
"""

import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from foreign import Suite
from stint_server import PATIENCE, StintServer, eventually, expect
from wire import calls


def load(server, path, requests, *arguments):
    """Runs h2load, and expects `requests` answers 2xx and nothing else."""
    url = f"http://127.0.0.1:{server.port}{path}"
    ran = subprocess.run(
        ["h2load", "--h1", "--requests", str(requests), *arguments, url], capture_output=True, text=True, timeout=4 * PATIENCE
    )
    expect("h2load ends well", ran.returncode == 0, ran.returncode, ran.stderr)
    counts = re.search(r"^requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (.*)$", ran.stdout, re.MULTILINE)
    codes = re.search(r"^status codes: (\d+) 2xx, (.*)$", ran.stdout, re.MULTILINE)
    expect("h2load says what happened", counts and codes, ran.stdout)
    expect("every request succeeds", [int(n) for n in counts.groups()[:3]] == [requests] * 3, counts[0], codes[0])
    expect("none failed, erred or timed out", counts[4] == "0 failed, 0 errored, 0 timeout", counts[0])
    expect("all are 2xx", int(codes[1]) == requests and codes[2] == "0 3xx, 0 4xx, 0 5xx", codes[0])


def each_request_once(stint):
    with StintServer(stint, "what_it_saw:application") as server:
        load(server, "/", 5000, "--clients", "20")
        load(server, "/", 3000, "--clients", "10", "--max-concurrent-streams", "8")
        expect("the application is called once for each", calls(server.port) == 8000, calls(server.port))


def bodies(stint):
    with tempfile.NamedTemporaryFile() as file, StintServer(stint, "for_clients:application", workers=2) as server:
        file.write(bytes(range(256)) * 1200)
        file.flush()
        load(server, "/echo", 400, "--clients", "10", "--data", file.name)
        load(server, "/unread", 400, "--clients", "10", "--data", file.name)
        load(server, "/noise?size=100000", 1000, "--clients", "20", "--max-concurrent-streams", "4")


def static_files(stint):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "small.css").write_bytes(b"a { color: red }\n" * 20)
        Path(folder, "large.bin").write_bytes(bytes(range(256)) * 2000)
        tail = f'[[static]]\nurl = "/static/"\nroot = "{folder}"\n'
        with StintServer(stint, "for_clients:application", tail=tail) as server:
            load(server, "/static/small.css", 5000, "--clients", "20")
            load(server, "/static/large.bin", 300, "--clients", "10")
            load(server, "/static/small.css", 3000, "--clients", "10", "--max-concurrent-streams", "8")


def replaced_workers(stint):
    with StintServer(stint, "for_clients:application", workers=2) as server:

        def recycle():
            for _ in range(3):
                ready = server.log().count("worker ready")
                subprocess.run([stint, "recycle", "-c", server.folder / "stint.toml"], check=True, capture_output=True)
                eventually("both workers are replaced", lambda: server.log().count("worker ready") >= ready + 2)
            done.set()

        done = threading.Event()
        recycling = threading.Thread(target=recycle)
        recycling.start()
        rounds = 0
        while not done.is_set():
            expect("recycling goes on", recycling.is_alive() or done.is_set())
            load(server, "/hello", 4000, "--clients", "20")
            rounds += 1
        recycling.join()
        expect("there was load meanwhile", rounds > 0)


def main():
    suite = Suite(__doc__)
    for story in each_request_once, bodies, static_files, replaced_workers:
        suite.tell("h2load: " + story.__name__.replace("_", " "), lambda: story(suite.stint))
    return suite.end()


if __name__ == "__main__":
    sys.exit(main())
