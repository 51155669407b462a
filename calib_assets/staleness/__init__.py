"""Identity and staleness: fingerprints, code versions, manifests, the store of results, the planner.

Belongs here: deciding what is stale and why, and keeping results so that nothing wrong is served and nothing computed
is lost. Does not belong here: Dagster (see ``calib_assets.assets.memo``), or anything that changes a number; this room
is left out of code versions for that reason.
"""
