from calib_assets.metrics.hardness import recall_ceiling, step_hardness
