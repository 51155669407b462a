"""Settings of all tests. Hypothesis sets no deadlines: how long an example takes says nothing about its result."""

from hypothesis import settings

settings.register_profile("calib-assets", deadline=None)
settings.load_profile("calib-assets")
