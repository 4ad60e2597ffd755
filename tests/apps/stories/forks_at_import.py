"""Starts a helper process by os.fork when it is imported, which writes its pid into the file CHILD of the environment."""
import os
import time

from story_app import application  # noqa: F401

if os.fork() == 0:
    with open(os.environ["CHILD"], "w") as file:
        file.write(str(os.getpid()))
    time.sleep(300)
    os._exit(0)
