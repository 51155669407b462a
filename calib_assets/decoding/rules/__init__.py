"""Truncation rules, one class in one file.

Belongs here: rules. Every module in this folder is imported, so a new file is a new rule.
Does not belong here: what is done with the retained sets.
"""

import importlib
import pkgutil

from .base import RULES, Selection, TruncationRule, check_temperature

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

globals().update({rule.__name__: rule for rule in RULES.values()})
__all__ = [
    "RULES",
    "Selection",
    "TruncationRule",
    "check_temperature",
    *(rule.__name__ for rule in RULES.values()),
]
