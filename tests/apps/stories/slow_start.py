"""Takes two seconds to import, so that a server without a worker while the next one starts would show it."""
import time

from story_app import application  # noqa: F401

time.sleep(2)
