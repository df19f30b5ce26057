r"""Text as a database can hold it: a NUL and half of a surrogate pair are written out, `\x00` and `\udcff`.

A run must not be held back because a file name, an argument or the message of an error is not text to everybody.
"""

from __future__ import annotations


def storable(value: object) -> object:
    """Plain data with all text in it, keys included, as it can be stored; what can be stored stays as it is."""
    if type(value) is str:
        return storable_text(value)
    if isinstance(value, dict):
        return {storable(key): storable(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(part) for part in value]
    return value


def storable_text(text: str) -> str:
    """A text as it can be stored."""
    if text.isascii():
        return text.replace("\0", "\\x00")
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
