"""The report's section of one model and kind of rollouts: drawn once, kept, and put into the report when it changes."""

from calib_assets.assets.canopy.verdicts import CANOPY_RULES
from calib_assets.assets.sections import kept_section, provenance
from calib_assets.report import canopy_section as section_of
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run

# Name of each table in the report -> the asset that holds it.
TABLES = {
    "rollout_prompts": "rollouts",
    "prompt_measures": "canopy_entropy",
    "canopy_entropy": "canopy_entropy",
    "variance_split": "canopy_entropy",
    "design": "canopy_entropy",
    "entropy_trajectory": "entropy_trajectories",
    "length_distribution": "entropy_trajectories",
    "prompt_correlations": "length_entropy_correlation",
    "length_entropy_correlation": "length_entropy_correlation",
    "prompt_diversity": "semantic_diversity",
    "semantic_diversity": "semantic_diversity",
    "prompt_semantic_entropy": "semantic_entropy",
    "semantic_entropy": "semantic_entropy",
}


def canopy_section(run: Run) -> Result:
    """Every figure and table of the canopy study for one model and kind of rollouts, with provenance and checks."""
    tables = {name: run.table(asset, name) for name, asset in TABLES.items()}
    sources = {name: provenance(run, asset) for name, asset in TABLES.items()}
    section = section_of(run.model, run.rollout, tables, sources, partition=f"{run.model}|{run.rollout}")
    return kept_section(run, section, sources, CANOPY_RULES)


NODE = Node(
    key="canopy_section",
    axes=("model", "rollout"),
    deps=tuple(dict.fromkeys(TABLES.values())),
    body=canopy_section,
    group="report",
    description="Figures and tables of one model and kind of rollouts for the report (counterparts of Paper B's "
    "Figures 2 to 5 and Tables 1, 2, 5 and 6).",
)
