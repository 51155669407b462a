"""calib-assets: why a language model's outputs collapse, and what that costs, as a Dagster asset graph.

Rooms: ``study`` (the study file), ``decoding`` and ``metrics`` (pure computation), ``figures`` and ``report``,
``staleness`` (identity, store, planner), ``assets`` (the graph), ``definitions`` (where all meet), ``results`` (reading
finished tables in a notebook). The package imports nothing of these by itself, so that each loads only what it needs.
"""
