"""Has a thread of its own between standard error and where that led before, as libraries that capture it do."""
import os
import threading
import time

read_end, write_end = os.pipe()
former = os.dup(2)
os.dup2(write_end, 2)


def pump():
    while True:
        os.write(former, os.read(read_end, 1024))


threading.Thread(target=pump, daemon=True).start()


def application(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("a line of the message\n" * 5000)
    time.sleep(0.003)
    start_response("200 OK", [])
    return [b"two ", b"parts"]
