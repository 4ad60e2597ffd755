"""The application of slow_clients.py: hello; a request's body read and counted; a generator that yields MIB mebibytes in
pieces of KIB kibibytes and writes down in the file `asked`, beside the settings, how many pieces it was asked for.
"""

import os
import struct
from urllib.parse import parse_qs

BODY = b"Hello, World!"


def pieces(mib, kib, file):
    asked = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        for number in range(mib * 1024 // kib):
            os.pwrite(asked, struct.pack("Q", number + 1), 0)
            yield bytes([number % 251]) * (kib * 1024)  # not zeros, which take no memory until they are written
    finally:
        os.close(asked)


def application(environ, start_response):
    head = [("Content-Type", "text/plain"), ("X-Worker-Pid", str(os.getpid()))]
    if environ["PATH_INFO"] == "/pieces":
        query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
        mib, kib = int(query["mib"]), int(query["kib"])
        start_response("200 OK", head + [("Content-Length", str(mib * 1024**2))])
        return pieces(mib, kib, query["asked"])
    if environ["REQUEST_METHOD"] == "POST":
        while environ["wsgi.input"].read(65536):
            pass
    start_response("200 OK", head + [("Content-Length", str(len(BODY)))])
    return [BODY]
