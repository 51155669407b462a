"""Sandboxes for sampled programs."""

import os
from collections.abc import Mapping

from resources.sandbox.limits import Limits
from resources.sandbox.sandbox import Sandbox
from resources.services.environment import positive

WORKERS_VARIABLE = "CALIB_SANDBOXES"
PROGRAMS_EACH = 8


class Sandboxes:
    """Opens sandboxes; nothing is tried or run before a program is."""

    @property
    def workers(self) -> int:
        """Sandboxes at a time (circumstance): the machine's processors, or what ``CALIB_SANDBOXES`` says.

        Raises:
            SettingsError: If that is no number above 0.
        """
        return positive(WORKERS_VARIABLE, os.cpu_count() or 1)

    @property
    def batch(self) -> int:
        """Programs whose verdicts are kept together (circumstance): what a killed run loses, at the most."""
        return PROGRAMS_EACH * self.workers

    def open(self, limits: Mapping[str, float]) -> Sandbox:
        """A sandbox with limits as the study's row has them."""
        return Sandbox(Limits(**{name: limits[name] for name in Limits.__dataclass_fields__}))
