"""Stopping a command by Ctrl-C or by a signal: it is an exception in the command, so that everything is cleaned up.

SIGINT raises KeyboardInterrupt, SIGTERM and SIGHUP raise `Stopped`. What is ignored, as under nohup, stays ignored.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

HEARD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BY_SIGNAL: Final = 128
"""A shell says of a program that a signal ended: this and the number of the signal."""


class Stopped(SystemExit):
    """The command was asked to end by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(BY_SIGNAL + number)


class StoppedAt(Exception):
    """The command was stopped, and more is known of what was kept than of any command."""

    def __init__(self, kept: str, todo: str) -> None:
        super().__init__(kept)
        self.kept = kept
        self.todo = todo


class Asked:
    """Whether the command was asked to stop."""

    def __init__(self) -> None:
        self.number: int | None = None
        """The last signal that asked for it."""

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Raise what stops the command; the signal is kept too, for where such an exception becomes another one."""
        del frame
        self.number = number
        raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)


@contextlib.contextmanager
def listening() -> Iterator[Asked]:
    """Hear the signals that stop a command inside the block."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    heard = [number for number in HEARD if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, asked.hear) for number in heard}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
