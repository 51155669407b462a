"""Numbers with their intervals as sentences have them."""

from calib_assets.figures.text import short


def value(est: float, low: float | None, high: float | None, unit: str = "") -> str:
    """A number with its interval, or the remark that there is none.

    >>> value(0.5, 0.4, 0.61), value(-3.0, None, None, " %")
    ('0.5 [0.4, 0.61]', '−3 % [no interval]')
    """
    if low is None or high is None:
        return f"{short(est)}{unit} [no interval]"
    return f"{short(est)}{unit} [{short(low)}{unit}, {short(high)}{unit}]"


def direction(low: float | None, high: float | None) -> int:
    """1 or −1 where an interval lies on one side of zero, else 0.

    >>> direction(0.1, 0.2), direction(-2, -1), direction(-1, 1), direction(None, None), direction(0, 1)
    (1, -1, 0, 0, 0)
    """
    if low is None or high is None:
        return 0
    return (low > 0) - (high < 0)
