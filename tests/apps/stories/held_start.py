"""Its import waits while the file HOLD, of the environment, is there; a forked worker for ever once it has made HOLD_FORK."""
import os
import time

from story_app import application  # noqa: F401


def hold_fork():
    open(os.environ["HOLD_FORK"], "x").close()
    while True:
        time.sleep(1)


while os.path.exists(os.environ["HOLD"]):
    time.sleep(0.01)
if "HOLD_FORK" in os.environ:
    os.register_at_fork(after_in_child=hold_fork)
