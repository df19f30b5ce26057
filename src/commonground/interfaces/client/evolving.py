"""What an open study declares, and how it changes: names, types of columns, and what depends on them."""

from __future__ import annotations

from commonground.operations.plans import Committed
from commonground.operations.session import Session


class Schema:
    """Types, columns, features, vocabularies, terms and datasets, as things that may be declared otherwise later."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def rename(self, what: str, to: str, *, reuse: bool = False, why: str | None = None) -> Committed:
        """Give something another name: `Patient`, `Patient.age`, `texture.solid`; the old name still leads to it."""
        return self._session.write("rename", why=why, what=what, to=to, reuse=reuse)
