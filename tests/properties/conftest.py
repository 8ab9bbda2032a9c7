"""Hypothesis under load: a busy machine is no failure, and a run leaves nothing behind."""

from hypothesis import settings

settings.register_profile("house", deadline=None, database=None)
settings.load_profile("house")
