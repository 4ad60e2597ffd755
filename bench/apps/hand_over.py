"""The application of hand_over.py, slow_view.py and soak.py: an answer after US microseconds of waiting, as for a database,
and COMPUTE microseconds of Python, that says which process gave it; KIB kibibytes of a body that follows from SEED; LEAK kibibytes kept for ever.
"""

import os
import time
from urllib.parse import parse_qs

kept = []


def application(environ, start_response):
    query = {name: int(values[0]) for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if query.get("leak"):
        kept.append(b"x" * (query["leak"] * 1024))
    if query.get("us"):
        time.sleep(query["us"] / 1e6)
    if query.get("compute"):
        end = time.thread_time() + query["compute"] / 1e6
        while time.thread_time() < end:
            pass
    seed, size = query.get("seed", 0), query.get("kib", 0) * 1024
    body = (b"%d " % seed * size)[:size] if size else b"Hello, World!"
    start_response(
        "200 OK",
        [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("X-Worker-Pid", str(os.getpid()))],
    )
    return [body]
