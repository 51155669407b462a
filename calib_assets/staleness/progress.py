"""Progress of long work: one line at most every few seconds, with an estimate of the time left."""

import time
from collections.abc import Callable


class Progress:
    """Turns (done, total) into lines such as ``contexts: 512 of 3331 (15 %), about 40 s left``.

    Args:
        what: Plural noun of the things counted.
        say: Called with a line.
        interval: Seconds between two lines.
    """

    def __init__(self, what: str, say: Callable[[str], None], interval: float = 5.0):
        self.what, self.say, self.interval = what, say, interval
        self.started = self.last = time.monotonic()
        self.first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        """Tell that ``done`` of ``total`` are finished; what was there at the first call is not counted as speed."""
        now = time.monotonic()
        if self.first is None:
            self.first = done
        if now - self.last < self.interval and done < total:
            return
        if done >= total and now - self.started < self.interval:
            return  # short work needs no lines
        self.last = now
        since = done - self.first
        left = f", about {(now - self.started) * (total - done) / since:.0f} s left" if since and done < total else ""
        self.say(f"{self.what}: {done} of {total} ({100 * done / max(total, 1):.0f} %){left}")
