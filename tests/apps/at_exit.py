"""What a graceful end owes the application: threads that are not daemons end, then atexit handlers run."""

import atexit
import threading
import time


def application(environ, start_response):
    path = environ["QUERY_STRING"]

    def note(text):
        with open(path, "a") as file:
            file.write(text + "\n")

    def work():
        time.sleep(0.05)
        note("thread ended")

    threading.Thread(target=work).start()
    atexit.register(note, "atexit ran")
    start_response("200 OK", [])
    return [b"ok"]
