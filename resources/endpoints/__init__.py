"""OpenAI-compatible servers: how one is called, how often, for how much, and where its paid replies are kept.

Belongs here: one call and its faults, retries, claims and budgets, the ledger, the loop over many calls. Does not
belong here: what is asked and what is made of an answer (a :class:`~resources.endpoints.form.Form` says that): judges
and speakers are users of this room.
"""
