"""What an open study declares, and how it changes: names, types of columns, and what depends on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commonground.operations.impact import Impact
from commonground.operations.plans import Committed
from commonground.operations.session import Session


class Schema:
    """Types, columns, features, vocabularies, terms and datasets, as things that may be declared otherwise later."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def rename(self, what: str, to: str, *, reuse: bool = False, why: str | None = None) -> Committed:
        """Give something another name: `Patient`, `Patient.age`, `texture.solid`; the old name still leads to it."""
        return self._session.write("rename", why=why, what=what, to=to, reuse=reuse)

    def retype(
        self,
        what: str,
        *,
        to: str,
        target: str | None = None,
        unit: str | None = None,
        maps: Mapping[str, Any] | None = None,
        drop_bad: bool = False,
        why: str | None = None,
    ) -> Committed:
        """Let a column hold another type; raises InvalidInput with every value that does not convert.

        `maps` says what a value becomes (None: nothing); `drop_bad` leaves empty whatever does not convert.
        """
        return self._session.write(
            "retype", why=why, what=what, to=to, target=target, unit=unit, maps=maps, drop_bad=drop_bad
        )

    def retire(self, what: str, *, back: bool = False, why: str | None = None) -> Committed:
        """Put a column or a feature out of use, or `back` in use; versions and earlier times keep what it says."""
        return self._session.write("retire", why=why, what=what, back=back)

    def impact(self, what: str) -> Impact:
        """What depends on something declared, before it changes."""
        found: Impact = self._session.read("impact", what=what)
        return found

    def mark_sensitive(self, columns: Sequence[str], *, clear: bool = False, why: str | None = None) -> Committed:
        """Mark columns as sensitive: left out of frames and of what is shown; `clear` takes the mark away."""
        return self._session.write("type sensitive", why=why, columns=columns, clear=clear)
