"""The explorer: one static page on which a study's conditionals, tries and sweep trees are walked.

Belongs here: what the page holds (arrays and texts as plain data) and the page itself; ``static/`` is its style and its
scripts, ``engine.js`` their mathematics. Does not belong here: Dagster, the store, models.
"""

from calib_assets.explorer.page import explorer_files, explorer_page, script_json
from calib_assets.explorer.sweep import sweep_data
from calib_assets.explorer.task import task_data

__all__ = ["explorer_files", "explorer_page", "script_json", "sweep_data", "task_data"]
