"""Which process answered: the server's keys of the WSGI environ. Other servers have none, which shows as None."""

import os
import threading


def facts(request):
    environ = request.environ
    return {
        "worker": environ.get("stint.worker"),
        "generation": environ.get("stint.generation"),
        "request_id": environ.get("stint.request_id"),
        "version": environ.get("stint.version"),
        "server": environ.get("SERVER_SOFTWARE"),
        "pid": os.getpid(),
        "thread": threading.current_thread().name,
    }


def context(request):
    return {"answered_by": facts(request)}
