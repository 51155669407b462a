"""How judging stops: too many missing verdicts (:mod:`resources.endpoints.errors` has what a server does)."""


class TooManyMissing(RuntimeError):
    """More verdicts are missing than the judge's row allows; what was judged is stored.

    Attributes:
        judge: Its name.
        missing: Count of every status other than "ok".
        total: Distinct items of this call.
        limit: Largest share that is allowed.
    """

    def __init__(self, judge: str, missing: dict[str, int], total: int, limit: float, example: str = ""):
        self.judge, self.missing, self.total, self.limit, self.example = judge, missing, total, limit, example
        count = sum(missing.values())
        kinds = ", ".join(f"{number:,} {status}" for status, number in sorted(missing.items()) if number)
        said = f"; for example: {example}" if example else ""
        super().__init__(
            f"judge {judge!r}: {count:,} of {total:,} verdicts are missing ({kinds}), a share of {count / total:.3f} "
            f"where max_missing_share is {limit:g}{said}; remedy: failed ones are tried again by a rerun; for the "
            "others give the judge more max_tokens, another model or `structured: text`, or allow a larger share"
        )

    def __reduce__(self):
        return type(self), (self.judge, self.missing, self.total, self.limit, self.example)
