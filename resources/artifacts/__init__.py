"""Files that survive a crash.

``atomic``: small files and checksums. ``logit_cache``: reading the logits of one (model, task).
``cache_builder``: building them resumably. ``shard``: one file of them. Nothing here knows models or assets.
"""
