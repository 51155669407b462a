"""Numbers that the environment may set: how much is done at a time. They are circumstance, in no fingerprint."""

import os

from resources.endpoints.errors import SettingsError


def positive(variable: str, default: int) -> int:
    """The whole number above 0 that a variable says; the default where it is not set.

    Raises:
        SettingsError: If it says something else; names variable, value and remedy.
    """
    said = os.environ.get(variable, "").strip()
    if not said:
        return default
    if not (said.isascii() and said.isdigit() and len(said) < 10 and int(said) > 0):
        raise SettingsError(
            f"environment variable {variable}", repr(said), f"write a whole number above 0, or unset it ({default})"
        )
    return int(said)
