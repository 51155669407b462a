"""Ratios against named baselines, each beside a check that both sides found the same.

A benchmark is a module here with a function ``rows(run, **sizes)`` that yields :class:`~benchmarks.rows.Row`; the
harness picks up every such module. Its keyword arguments are the sizes; the dictionaries ``SMALL`` and ``FULL`` of the
module hold those of the other two levels, and ``THREADS = 1`` asks for one thread.

    make bench                            # all, into docs/benchmarks.md
    make bench ONLY=kendall_tau           # one; the other rows stay
    python -m benchmarks kendall_tau self_bleu --small        # a quick look; nothing is written
    python -m benchmarks kendall_tau prompts=50 rollouts=20   # other sizes; nothing is written

What belongs here: the harness, and benchmarks that call the project as its users do. No part of the project imports it.
"""
