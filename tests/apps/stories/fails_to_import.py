"""Raises in the middle of its import."""


def settings():
    raise LookupError("no settings for the story")


settings()
