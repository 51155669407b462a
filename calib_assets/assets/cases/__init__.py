"""Case studies: what speakers answer, and programs that they write (Paper A, App. G, H). `NODES` are the assets."""

from calib_assets.assets.cases import (
    answer_collapse,
    answer_samples,
    code_calibration,
    code_comparison,
    code_samples,
    code_section,
    code_verdicts,
    collapse_comparison,
    collapse_section,
)

NODES = (
    answer_samples.NODE,
    answer_collapse.NODE,
    collapse_comparison.NODE,
    collapse_section.NODE,
    code_samples.NODE,
    code_verdicts.NODE,
    code_calibration.NODE,
    code_comparison.NODE,
    code_section.NODE,
)
