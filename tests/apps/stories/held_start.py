"""Its import waits while the file HOLD, of the environment, is there."""
import os
import time

from story_app import application  # noqa: F401

while os.path.exists(os.environ["HOLD"]):
    time.sleep(0.01)
