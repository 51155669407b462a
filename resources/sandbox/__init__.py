"""Programs that nobody has read, run against tests where they can do no harm, or not at all.

``sandbox`` starts one process of its own for each program and decides, from outside, what its outputs are worth.
``inside`` is what runs in that process: namespaces, limits, a filter of system calls, one child for each test. Expected
values never go in, so a program can pass in one way only: by giving them. ``probe`` proves on this machine that every
wall holds before the first program runs; where one does not, nothing is run. There is no weaker mode.

Linux only, standard library only: the process inside starts in milliseconds, and this file imports nothing.
"""
