"""Forks in its import. The child leaves in the way that WAY, of the environment, says; the parent waits for it."""
import os
import sys

from story_app import application as story_app

child = os.fork()
if child == 0:
    if os.environ["WAY"] == "exit":
        sys.exit(7)
    if os.environ["WAY"] == "raise":
        raise RuntimeError("in the child")
else:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def application(environ, start_response):
    if environ["PATH_INFO"] != "/child":
        return story_app(environ, start_response)
    start_response("200 OK", [("X-Worker-Pid", str(os.getpid()))])
    return [str(status).encode()]
