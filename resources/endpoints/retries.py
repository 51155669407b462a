"""When to call again: Retry-After where the server says, else exponential backoff with full jitter."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class RetryPolicy:
    """Waits between the attempts of one call; all of it is circumstance.

    Attributes:
        base_s: Upper bound of the wait after the first attempt; it doubles with each further one.
        cap_s: Largest upper bound.
        max_retry_after_s: A server that asks for a longer wait is not waited for: the item fails.
        sleep: Waits for a number of seconds.
        clock: Seconds since 1970, for dates in Retry-After.
        uniform: A number in [0, 1).
    """

    base_s: float = 0.5
    cap_s: float = 30.0
    max_retry_after_s: float = 300.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.time
    uniform: Callable[[], float] = random.random

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after attempt 1, 2, …: uniform in [0, min(cap, base 2^(attempt-1))).

        >>> RetryPolicy(base_s=1, cap_s=3, uniform=lambda: 0.5).backoff(2), RetryPolicy(base_s=1, cap_s=3,
        ...     uniform=lambda: 0.5).backoff(60)
        (1.0, 1.5)
        """
        return self.uniform() * min(self.cap_s, self.base_s * 2 ** min(attempt - 1, 60))

    def retry_after(self, header: str | None) -> float | None:
        """Seconds that a Retry-After header asks for (a number, or an HTTP date); None without a usable one.

        >>> policy = RetryPolicy(clock=lambda: 784111770.0)
        >>> policy.retry_after("2.5"), policy.retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), policy.retry_after("soon")
        (2.5, 7.0, None)
        """
        if header is None:
            return None
        try:
            seconds = float(header)
        except ValueError:
            try:
                seconds = parsedate_to_datetime(header).timestamp() - self.clock()
            except (ValueError, TypeError, OverflowError):
                return None
        return max(seconds, 0.0) if math.isfinite(seconds) else None
