"""The one way in which a model or its tokenizer is refused: where, what was found, what to do."""


class ModelError(ValueError):
    """A model source, file or text that cannot be used.

    Args:
        where: File, package or field of the study that is wrong.
        found: What is there (or is missing).
        remedy: The action that repairs it.

    >>> print(ModelError("model 'smol', field dtype", "'fp12'", "use float32, bfloat16 or float16"))
    model 'smol', field dtype: 'fp12'; remedy: use float32, bfloat16 or float16
    """

    def __init__(self, where: str, found: str, remedy: str):
        super().__init__(f"{where}: {found}; remedy: {remedy}")
        self.where, self.found, self.remedy = where, found, remedy

    def __reduce__(self):  # three arguments: the default pickling of an exception passes only the message
        return type(self), (self.where, self.found, self.remedy)


class SourceError(ModelError):
    """A source that names nothing or too much: missing package or file, ambiguous glob, moving revision."""


class ChecksumError(ModelError):
    """A file's content is not the one that was pinned, recorded or written."""


class CorruptFileError(ModelError):
    """A file is truncated or is not in its format."""


class TokenizationError(ModelError):
    """An answer or a context that the tokenizer cannot represent faithfully."""
