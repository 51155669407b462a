"""Case studies: programs that speakers write (Paper A, App. H). `NODES` are the assets, upstream first."""

from calib_assets.assets.cases import code_calibration, code_comparison, code_samples, code_verdicts

NODES = (code_samples.NODE, code_verdicts.NODE, code_calibration.NODE, code_comparison.NODE)
