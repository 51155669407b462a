"""Doctests are collected by importing: two modules import vLLM, which has an environment of its own."""

from resources.language_models.vllm_options import installed_vllm

collect_ignore = [] if installed_vllm() else ["language_models/vllm_engine.py", "language_models/vllm_worker.py"]
