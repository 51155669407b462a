"""Errors that may pass by themselves: worth a second try of the same step, where another input would be needed else.

Judges try single requests again on their own; this is for what reaches a step: a network file system or a hub that
does not answer for a moment, a GPU whose memory another process still holds.
"""

import errno

RETRIES = 2
WAIT_SECONDS = 30  # doubled with every attempt

_PASSING = {errno.EIO, errno.EAGAIN, errno.EBUSY, errno.EREMOTEIO, errno.ESTALE, errno.ETIMEDOUT}
_PASSING |= {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN}
# By name, since importing the libraries that define them takes seconds.
_NAMES = {"OutOfMemoryError", "APIConnectionError", "APITimeoutError", "ConnectError", "ConnectTimeout", "ReadTimeout"}
_NAMES |= {"EndpointConnectionError", "ConnectionClosedError", "ConnectTimeoutError", "ReadTimeoutError"}  # of S3


def is_transient(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, may be gone a minute later.

    >>> is_transient(ConnectionResetError()), is_transient(FileNotFoundError()), is_transient(ValueError("bad input"))
    (True, False, False)
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ConnectionError | TimeoutError) or type(found).__name__ in _NAMES:
            return True
        if isinstance(found, OSError) and found.errno in _PASSING:
            return True
        found = found.__cause__
    return False


def wait_before(attempt: int) -> int:
    """Seconds before the attempt after this one (0 is the first)."""
    return WAIT_SECONDS * 2**attempt
