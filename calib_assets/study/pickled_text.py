"""The one text inside a pickle, read without unpickling: a pickle is a program, and running it is what must not happen.

LiveCodeBench keeps its private tests as base64 of zlib of a pickle of one string. A pickle that holds one string needs
six kinds of instructions; whatever holds another is refused by name before anything is looked up, called or built.
"""

import base64
import binascii
import pickletools
import zlib

# What a text needs: protocol and frame, the text itself, a note of it in the memo, the end.
TEXT_ONLY = frozenset(
    ("PROTO", "FRAME", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
    + ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "STOP")
)
LONGEST = 1 << 28  # bytes after decompression


class PickleRefused(ValueError):
    """Data that is not the pickle of one text."""


def text_of_pickle(data: bytes) -> str:
    """The text that a pickle of one string holds.

    Raises:
        PickleRefused: If it holds anything else; names the first instruction that is not allowed.

    >>> import pickle
    >>> text_of_pickle(pickle.dumps("ünï"))
    'ünï'
    """
    texts: list[str] = []
    try:
        for code, argument, place in pickletools.genops(data):
            if code.name not in TEXT_ONLY:
                raise PickleRefused(
                    f"instruction {code.name} at byte {place}: only a single text is read, never objects"
                )
            if isinstance(argument, str) and "UNICODE" in code.name:
                texts.append(argument)
            if code.name == "STOP" and place + 1 != len(data):
                raise PickleRefused(f"{len(data) - place - 1} bytes after the end")
    except PickleRefused:
        raise
    except Exception as error:  # pickletools raises ValueError, UnicodeError and others on damaged data
        raise PickleRefused(f"not a whole pickle ({error})") from None
    if len(texts) != 1:
        raise PickleRefused(f"it holds {len(texts)} texts, not one")
    return texts[0]


def inflated(data: bytes, limit: int = LONGEST) -> bytes:
    """Decompressed data, up to a limit that a small file cannot push past.

    Raises:
        PickleRefused: If it is damaged or larger.
    """
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        raise PickleRefused(f"not zlib data ({error})") from None
    if len(found) > limit:
        raise PickleRefused(f"more than {limit:,} bytes after decompression")
    if not unpacker.eof:
        raise PickleRefused("the compressed data is cut short")
    return found


def packed_text(text: str, limit: int = LONGEST) -> str:
    """The text inside base64 of zlib of a pickle of one string.

    Raises:
        PickleRefused: If it is anything else.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PickleRefused(f"not base64 ({error})") from None
    return text_of_pickle(inflated(data, limit))
