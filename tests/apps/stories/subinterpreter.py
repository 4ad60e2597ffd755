"""Has had a subinterpreter, after which some of CPython's own checks say nothing any more."""
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

from story_app import application  # noqa: F401

interpreters.destroy(interpreters.create())
