"""Where a run goes on a cluster: a run with model work asks Ray for GPUs, where the deployment has any.

This is circumstance: no fingerprint knows of it.
"""

import json
import os
from collections.abc import Iterable

from calib_assets.staleness.planner import Stale

GPUS_VARIABLE, RAY_TAG = "CALIB_RUN_GPUS", "dagster-ray/config"


def placement_tags(items: Iterable[Stale]) -> dict[str, str]:
    """Tags of a run that computes these cells: ``CALIB_RUN_GPUS`` GPUs if a model will run, none otherwise.

    Raises:
        ValueError: If the variable is no number of GPUs (0 and more; a fraction shares one).
    """
    said = os.environ.get(GPUS_VARIABLE, "").strip()
    if not said:
        return {}
    try:
        gpus = float(said)
    except ValueError:
        gpus = -1.0
    if not 0 <= gpus < float("inf"):
        raise ValueError(f"{GPUS_VARIABLE} is {said!r}; write how many GPUs a run with model work needs, such as 1")
    has_model_work = any(item.work is not None and item.work.forward_tokens > 0 for item in items)
    return {RAY_TAG: json.dumps({"num_gpus": gpus if has_model_work else 0.0})}
