"""Services: language models, artifact files, and the Dagster resources that give them to assets.

They know nothing of assets. ``language_models`` turns text into tokens and tokens into logits; ``artifacts`` keeps
files that survive a crash; ``services`` is what Dagster is given.
"""
