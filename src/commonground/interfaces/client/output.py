"""Output of a run in this process: what goes to sys.stdout and sys.stderr is shown as ever, and kept as well.

Only text written through Python is seen here; `cg run` sees all that the process and its children write.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from commonground.identity import Mint
from commonground.interfaces.client.run_start import Begun
from commonground.operations.output_log import OutputLog, cells_asset, log_asset


class Tee:
    """A text stream that also keeps what is written to it."""

    def __init__(self, shown: TextIO, kept: OutputLog, name: str) -> None:
        self._shown = shown
        self._kept = kept
        self._name = name

    def write(self, text: str) -> int:
        """Show and keep; returns the number of characters."""
        written = self._shown.write(text)
        self._kept.write(text, self._name)
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        """Show and keep several."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - everything else is the stream's own
        return getattr(self._shown, name)


class Capture:
    """Both streams of this process, from `start` to `stop`."""

    def __init__(self, kept: OutputLog) -> None:
        self.kept = kept
        self._before: tuple[TextIO, TextIO] | None = None
        self._own: tuple[Any, Any] | None = None

    def start(self) -> None:
        """Begin to keep."""
        self._before = (sys.stdout, sys.stderr)
        # A program without a terminal may have no streams at all.
        self._own = (
            Tee(sys.stdout, self.kept, "out") if sys.stdout is not None else None,
            Tee(sys.stderr, self.kept, "err") if sys.stderr is not None else None,
        )
        sys.stdout, sys.stderr = self._own

    def stop(self) -> None:
        """Give the streams back, unless somebody else has put others there since."""
        if self._before is not None and self._own is not None:
            if sys.stdout is self._own[0]:
                sys.stdout = self._before[0]
            if sys.stderr is self._own[1]:
                sys.stderr = self._before[1]
        self._before = None
        self.kept.close()


def gather_output(begun: Begun, mint: Mint, facts: Mapping[str, Any], *, more: str = "") -> dict[str, Any]:
    """Log, cells and details for the last word of a run; `more` is added to the log. Never raises OSError.

    What cannot be put together now is told as a hole; who delivers the spool later, if it must be, tries again.
    """
    found: dict[str, dict[str, Any] | None] = {}
    holes = [begun.writer.error] if begun.writer.error else []
    for name, make in (("log", functools.partial(log_asset, more=more)), ("cells", cells_asset)):
        try:
            found[name] = make(begun.folder, begun.execution, mint)
        except OSError as error:
            found[name] = None
            holes.append(f"the {name} could not be put together: {error.strerror}")
    return {**found, "details": {**facts, **({"holes": holes} if holes else {})}}
