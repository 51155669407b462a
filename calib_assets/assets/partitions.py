"""Partitions: the dear axes. All are dynamic, so adding a row to a study needs no reload of the code location."""

import dagster as dg

from calib_assets.staleness.graph import AXES, Cell

MODELS = dg.DynamicPartitionsDefinition(name="model")
TASKS = dg.DynamicPartitionsDefinition(name="task")
SWEEPS = dg.DynamicPartitionsDefinition(name="sweep")
ROLLOUTS = dg.DynamicPartitionsDefinition(name="rollout")
EXTERNAL = dg.DynamicPartitionsDefinition(name="external")
COLLAPSE = dg.DynamicPartitionsDefinition(name="collapse")
CODING = dg.DynamicPartitionsDefinition(name="coding")
SPEAKERS = dg.DynamicPartitionsDefinition(name="speaker")
DYNAMIC = (MODELS, TASKS, SWEEPS, ROLLOUTS, EXTERNAL, COLLAPSE, CODING, SPEAKERS)
MODEL_TASK = dg.MultiPartitionsDefinition({"model": MODELS, "task": TASKS})
MODEL_SWEEP = dg.MultiPartitionsDefinition({"model": MODELS, "sweep": SWEEPS})
MODEL_ROLLOUT = dg.MultiPartitionsDefinition({"model": MODELS, "rollout": ROLLOUTS})
COLLAPSE_SPEAKER = dg.MultiPartitionsDefinition({"collapse": COLLAPSE, "speaker": SPEAKERS})
CODING_SPEAKER = dg.MultiPartitionsDefinition({"coding": CODING, "speaker": SPEAKERS})

PARTITIONS: dict[tuple[str, ...], dg.PartitionsDefinition | None] = {
    (): None,
    ("model",): MODELS,
    ("task",): TASKS,
    ("sweep",): SWEEPS,
    ("rollout",): ROLLOUTS,
    ("external",): EXTERNAL,
    ("model", "task"): MODEL_TASK,
    ("model", "sweep"): MODEL_SWEEP,
    ("model", "rollout"): MODEL_ROLLOUT,
    ("collapse",): COLLAPSE,
    ("coding",): CODING,
    ("speaker",): SPEAKERS,
    ("collapse", "speaker"): COLLAPSE_SPEAKER,
    ("coding", "speaker"): CODING_SPEAKER,
}


def cell_of(partition_key: str | None) -> Cell:
    """Cell of a Dagster partition key: a multi-partition key, a plain one, or none.

    Examples:
        >>> cell_of(None), cell_of("smollm2"), cell_of("smollm2|weekdays")
        ((), ('smollm2',), ('smollm2', 'weekdays'))
    """
    if partition_key is None:
        return ()
    by_dimension = getattr(partition_key, "keys_by_dimension", None)
    if by_dimension is not None:
        return tuple(by_dimension[axis] for axis in AXES if axis in by_dimension)
    return tuple(str(partition_key).split("|"))
