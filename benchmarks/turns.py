"""Timing in turns, so that other work on the machine slows both sides alike."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Side:
    """Seconds and results of one side, by turn."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def cpu_median(self) -> float:
        return float(np.median(self.cpu_seconds))

    @property
    def total(self) -> float:
        return sum(self.seconds)


def in_turns(**sides: Sequence[Callable[[], Any]]) -> dict[str, Side]:
    """Call the first of every side, then the second of every side, and so on; every other turn in reverse order.

    A side with fewer calls than turns rests in the last ones. CPU seconds are those of this process, all threads
    together. Nothing is warmed up: give a first call that is left out, or warm up before.
    """
    found = {name: Side() for name in sides}
    for turn in range(max(map(len, sides.values()))):
        for name in list(sides)[:: -1 if turn % 2 else 1]:
            if turn < len(sides[name]):
                started, cpu = time.perf_counter(), time.process_time()
                value = sides[name][turn]()
                found[name].seconds.append(time.perf_counter() - started)
                found[name].cpu_seconds.append(time.process_time() - cpu)
                found[name].values.append(value)
    return found
