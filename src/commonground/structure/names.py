"""Names that people give: one form for storing, one for telling twins apart."""

from __future__ import annotations

import unicodedata

from commonground.errors import InvalidInput

LONGEST = 200
RESERVED = "@"


def clean_name(name: str, what: str = "name") -> str:
    """The name as it is stored: NFC, without spaces around it.

    Raises InvalidInput if nothing is left, or it is longer than 200 characters, or has control characters or '@' in it.
    """
    clean = unicodedata.normalize("NFC", name).strip()
    if not clean:
        raise InvalidInput(f"A {what} cannot be empty.", todo="Give one.")
    if len(clean) > LONGEST:
        raise InvalidInput(f"A {what} can have {LONGEST} characters; this has {len(clean)}.", todo="Shorten it.")
    bad = sorted({character for character in clean if unicodedata.category(character)[0] == "C"})
    if bad or RESERVED in clean:
        shown = ", ".join(f"U+{ord(character):04X}" for character in bad) or RESERVED
        raise InvalidInput(
            f"A {what} cannot contain {shown}: {clean!r}.", todo="Leave that out, or write it otherwise."
        )
    return clean


def name_key(name: str) -> str:
    """The form in which two names are the same if people could take one for the other: compatible letters, no case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def slug(name: str, longest: int = 30) -> str:
    """Letters a-z, digits and underscores that resemble the name, for a table or column in the database."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    text = "_".join("".join(c if c.isalnum() else " " for c in plain).split())
    return text[:longest].strip("_") or "x"
