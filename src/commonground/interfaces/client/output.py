"""Output of a run in this process: what goes to sys.stdout and sys.stderr is shown as ever, and kept as well.

Only text written through Python is seen here; `cg run` sees all that the process and its children write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from commonground.operations.output_log import OutputLog


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
