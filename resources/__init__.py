"""Services that the assets use: language models and artifact stores.

A resource knows how to reach something dear (weights, a disk, an endpoint) and nothing of assets, partitions
or studies: it takes plain dataclasses and arrays, and it may import :mod:`calib_assets.decoding` for the trie.
What belongs to a result's *identity* (revision, tokenizer, chat template, dtype) is a field of a frozen
dataclass here; *circumstance* (device, pack size, cache folder) is an argument that no identity contains.
"""
