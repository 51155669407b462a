"""How the use of a server stops: a wrong setting or endpoint, a budget that is spent, a file that cannot be read."""


class ServerError(RuntimeError):
    """A server that cannot be used as it is set up: where, what was found, what to do. Never holds a key.

    >>> print(ServerError("judge 'gpt', field endpoint", "'ftp://x'", "write https://host/v1"))
    judge 'gpt', field endpoint: 'ftp://x'; remedy: write https://host/v1
    """

    def __init__(self, where: str, found: str, remedy: str):
        super().__init__(f"{where}: {found}; remedy: {remedy}")
        self.where, self.found, self.remedy = where, found, remedy

    def __reduce__(self):  # three arguments: the default pickling of an exception passes only the message
        return type(self), (self.where, self.found, self.remedy)


class SettingsError(ServerError, ValueError):
    """A field of a judge's or an API model's row that cannot be used."""


class EndpointError(ServerError):
    """The endpoint refuses every call (key, model, account), cannot be reached, or has stopped answering."""


class ReplyStoreError(ServerError):
    """The file of paid replies cannot be read or written."""


class BudgetReached(RuntimeError):
    """A hard limit: raised after every answer in flight is stored, so a rerun goes on from there.

    Attributes:
        who: Whose limit, such as ``judge 'gpt'``.
        done: Items of this call that have an outcome.
        total: Distinct items of this call.
        limit: Which field was reached and its value.
        spent: What the ledger holds, in words.
    """

    def __init__(self, who: str, done: int, total: int, limit: str, spent: str):
        self.who, self.done, self.total, self.limit, self.spent = who, done, total, limit, spent
        super().__init__(
            f"{who}: {limit} is reached after {done:,} of {total:,} items ({spent}); every answer "
            f"is stored; remedy: raise {limit.split()[0]} and run again: only the other {total - done:,} will be paid"
        )

    def __reduce__(self):
        return type(self), (self.who, self.done, self.total, self.limit, self.spent)
