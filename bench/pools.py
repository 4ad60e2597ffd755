"""The servers of comparisons with several workers, each with bench/apps/hand_over.py; for pinned, tail and slow_view."""

import shlex

import hand_over
import strict


def peers(make, stint, workers, granian=""):
    """`make(name, command, setting, pin=…)` makes one; `granian`: more of its options."""
    gunicorn = f"--workers {workers} --worker-class gthread --keep-alive 75"
    granian = f"--workers {workers} {granian}".strip()
    return [
        make("stint", [stint, "serve", "-c", "{folder}/stint.toml"], f"count = {workers}", pin=""),
        make(
            "gunicorn gthread",
            shlex.split(f"{{python}} -m gunicorn --bind 127.0.0.1:{{port}} {gunicorn} --log-level warning hand_over:application"),
            gunicorn,
            pin="gunicorn==27.0.1",
        ),
        make(
            "granian",
            shlex.split(
                f"{{python}} -m granian --interface wsgi --host 127.0.0.1 --port {{port}} {granian} --http 1 --no-ws"
                " --log-level warning hand_over:application"
            ),
            granian,
            pin="granian==2.8.7",
        ),
        make(
            "uWSGI",
            shlex.split(
                "{python} -c 'import os, sys; os.execv(sys.prefix + \"/bin/uwsgi\", [\"uwsgi\"] + sys.argv[1:])'"
                f" --http 127.0.0.1:{{port}} --http-keepalive --master --die-on-term --processes {workers}"
                " --disable-logging --module hand_over:application"
            ),
            f"--master --processes {workers} behind its own router, --http-keepalive",
            pin="uwsgi==2.0.31",
        ),
    ]


class Running(hand_over.Running):
    """One of them, with its number of workers."""

    def __init__(self, server, folder, workers):
        self.count = workers
        strict.Running.__init__(self, server, folder, workers, "max_requests = 0")

    def wait_for_workers(self):
        """Until all have started, or long enough; with some servers not all are asked."""
        strict.wait_until(lambda: len(self.workers(hand_over.CLIENT)) == self.count, seconds=5)
