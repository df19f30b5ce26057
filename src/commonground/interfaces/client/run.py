"""A run: a context manager that makes one truthful execution of whatever happens inside it.

Nothing that a run records can stop the work: what cannot be kept is told and counted. A run writes to a spool of its
own; the catalogue gets the start at once, progress now and then, and the rest at the end. If the catalogue is lost in
between, the spool has everything and `cg sync` delivers it.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self, Unpack

from commonground.errors import CommonGroundError, Conflict
from commonground.identity import Rid, show_rid
from commonground.interfaces.client import outputs, ranks, repeating, replacing
from commonground.interfaces.client.asked import RunAsked
from commonground.interfaces.client.capture import capture
from commonground.interfaces.client.kept_values import keep_values
from commonground.interfaces.client.metric_values import MetricValues
from commonground.interfaces.client.output import Capture, gather_output
from commonground.interfaces.client.progress import Progress
from commonground.interfaces.client.run_inputs import RunInput, within_reach
from commonground.interfaces.client.run_start import OUT_OF_REACH, Asked, Begun, begin, deliver_elsewhere, tell, warn
from commonground.operations import run_spool
from commonground.operations.delivery import deliver_folder, finish
from commonground.operations.executions import used_edge
from commonground.operations.inputs import Pin
from commonground.operations.output_log import OutputLog
from commonground.operations.session import Session
from commonground.structure.execution_states import Status
from commonground.structure.parameters import as_rows
from commonground.structure.screen import is_withheld, kinds_in, screen
from commonground.structure.screen_told import WITHHELD, flatten_screened

LONGEST_REASON = 500
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""From a scheduler that wants the machine back, and from a terminal that is closed."""
_current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("commonground_run", default=None)
_default: Run | None = None


class Terminated(SystemExit):
    """The process was asked to end by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number
        """The signal."""


class Run:
    """One execution, from `with` to the end of its block."""

    def __init__(
        self,
        session: Session,
        *,
        intent: str | None = None,
        inputs: Sequence[str] = (),
        params: Mapping[str, Any] | None = None,
        name: str | None = None,
        scratch: bool | None = None,
        parent: Run | Rid | str | None = None,
        details: Mapping[str, Any] | None = None,
        entry: str | None = None,
        keep_output: bool = True,
    ) -> None:
        self._session = session
        if isinstance(parent, Run):
            parent = parent.rid
        elif isinstance(parent, str):
            parent = int(session.read("execution get", execution=parent).execution.rid)
        self._asked = Asked(intent, list(inputs), dict(params or {}), name, scratch, parent, (), dict(details or {}))
        self._entry = entry
        self._keep_output = keep_output
        self._begun: Begun | None = None
        self._metrics = MetricValues(warn)
        self._owner = self._sid = 0
        self._ended = False
        self._inputs: dict[str, RunInput] = {}
        self._capture: Capture | None = None
        self._progress: Progress | None = None
        self._before: contextvars.Token[Run | None] | None = None
        self._old_handlers: dict[int, Any] = {}

    # ------------------------------------------------------------ beginning and ending

    def __enter__(self) -> Self:
        return self.start()

    def start(self) -> Self:
        """Begin; `with` does this."""
        if self._begun is not None:
            raise Conflict("This run has begun already.", todo="Make another one: study.run(...).")
        outer = current_run()
        if outer is not None and self._asked.parent is None:
            self._asked.parent = outer.rid
        captured = capture(self._session.ground.mint, self._entry)
        self._owner, self._sid = os.getpid(), os.getsid(0)
        self._begun = begin(self._session, self._asked, captured)
        self._before = _current.set(self)
        if self._begun.owner:
            if self._keep_output and (outer is None or outer is _default):
                self._capture = Capture(OutputLog(self._begun.folder))
                self._capture.start()
            self._catch_signals()
            replacing.listen(self._say_replaced)
            if outer is None:
                standing = ranks.find_standing(os.environ)
                ranks.announce(self._begun.execution, self._study, standing, self._begun.folder)
        log = self._capture.kept if self._capture is not None else None
        self._progress = Progress(self._session, self._begun.writer, self._begun.execution, log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status, reason = _verdict(error)
        told = "".join(traceback.format_exception(error)) if error is not None and status is Status.FAILED else ""
        self.end(status, reason, _trace=told)
        if isinstance(error, Terminated) and self._owner == os.getpid():
            # The signal did what it was sent for: the process ends by it, as its parent expects to see.
            signal.signal(error.number, signal.SIG_DFL)
            os.kill(os.getpid(), error.number)

    def end(self, status: Status = Status.FINISHED, reason: str | None = None, *, _trace: str = "") -> None:
        """End; leaving `with` does this. In a forked child it only closes what the child itself wrote."""
        begun = self._begun
        if begun is None or self._ended:
            return
        self._ended = True
        if self._before is not None:
            with contextlib.suppress(ValueError):
                _current.reset(self._before)
        if self._owner != os.getpid() and os.getsid(0) == self._sid:
            begun.writer.close()
            return
        ranks.withdraw(begun.execution)
        self._free_signals()
        replacing.forget(self._say_replaced)
        if self._progress is not None:
            self._progress.stop()
        clean = screen(reason[:LONGEST_REASON]).text if reason else None
        now, facts = begun.end_time(self._session.ground.clock())
        if self._metrics.left_out:
            facts["not_numbers"] = dict(self._metrics.left_out)
        if not begun.owner or self._owner != os.getpid():
            # The launcher ends it, unless this is a daemon that has outlived all others.
            if facts:
                begun.writer.append(run_spool.FACT, facts)
            begun.writer.append(run_spool.CLOSE, {"status": str(status), "reason": clean, "ended_at": now})
            if self._capture is not None:
                self._capture.stop()
            begun.writer.close()
            if self._owner == os.getpid():
                deliver_folder(self._session, begun.execution, begun.folder)
            else:
                deliver_elsewhere(self._session)
            return
        if self._capture is not None:
            self._capture.stop()
        kept = gather_output(begun, self._session.ground.mint, facts, more=_trace)
        verdict = {"status": str(status), "reason": clean, "ended_at": now, **kept}
        try:
            finish(self._session, begun.folder, begun.writer, verdict=verdict, started=begun.delivered)
        except (CommonGroundError, *OUT_OF_REACH) as error:
            tell(f"Execution {show_rid(begun.execution)} could not be delivered: {error}")

    # ------------------------------------------------------------ what it is

    @property
    def rid(self) -> Rid:
        """The execution's permanent id."""
        return self._state.execution

    @property
    def id(self) -> str:
        """The same as people see it."""
        return show_rid(self._state.execution)

    @property
    def folder(self) -> Path:
        """The folder of its spool."""
        return self._state.folder

    @property
    def active(self) -> bool:
        """Whether it has begun and has not ended."""
        return self._begun is not None and not self._ended

    @property
    def _study(self) -> str:
        return self._session.ground.facts["study"]

    @property
    def _state(self) -> Begun:
        if self._begun is None:
            raise Conflict("This run has not begun.", todo="Use it as `with study.run(...) as run:`.")
        return self._begun

    def child(self, **asked: Unpack[RunAsked]) -> Run:
        """A run that is a part of this one: one point of a sweep, one fold."""
        return Run(self._session, parent=self.rid, keep_output=False, **asked)

    # ------------------------------------------------------------ what goes in

    def input(self, name: str) -> RunInput:
        """An input by the name of its dataset or asset, or by a reference; one not named at the start is pinned now."""
        begun = self._state
        if name in self._inputs:
            return self._inputs[name]
        if name not in begun.pins:
            named = next((key for key, (pin, _) in begun.pins.items() if name in {pin.asked, pin.reference}), None)
            if named is None:
                with within_reach(self._session, name):
                    (pin,) = repeating.resolve_inputs(self._session, [name])
                edge = self._session.ground.mint.one()
                named = pin.name if pin.name not in begun.pins else name
                begun.pins[named] = (pin, edge)
                record = {"edge": used_edge(edge, begun.execution, pin), "files": []}
                begun.writer.append(run_spool.EDGE, record)
            name = named
        self._inputs[name] = RunInput(self._session, begun.pins[name][0], self._say_of_input)
        return self._inputs[name]

    def _say_of_input(self, pin: Pin, more: dict[str, Any], files: Sequence[bytes]) -> None:
        begun = self._state
        rid = next(edge for known, edge in begun.pins.values() if known is pin)
        kept, blobs = outputs.keep_rows(begun.folder, files)
        edge = used_edge(rid, begun.execution, pin, {**more, "blobs": blobs})
        begun.writer.append(run_spool.SAID, {"edge": edge, "files": kept})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record more parameters; one on record already keeps its first value. Raises InvalidInput for objects."""
        flat, withheld = flatten_screened(params)
        self._state.writer.append(run_spool.PARAMS, {"rows": as_rows(flat)})
        if withheld:
            self._state.writer.append(run_spool.FACT, {WITHHELD: withheld})

    # ------------------------------------------------------------ what comes out

    def log(self, values: Mapping[str, Any], *, step: int | None = None) -> None:
        """Record metrics. Without a step it is one more than the last. Never blocks and never raises.

        What is no number is not kept, told once a name, and counted in the record; the other metrics are kept.
        """
        try:
            if self._ended or self._begun is None:
                tell("A metric came when its run was not active; it is not kept.")
                return
            numbers, number = self._metrics.take(values), self._metrics.take_step(step)
            if numbers:
                record = {"s": number, "a": time.time_ns() // 1000, "v": numbers}
                self._begun.writer.append(run_spool.METRIC, record)
        except Exception as error:  # noqa: BLE001 - a metric must never end a training
            tell(f"A metric could not be kept: {type(error).__name__}: {error}.")

    def save(self, what: str | os.PathLike[str] | bytes, *, kind: str = "file", name: str | None = None) -> Rid:
        """Keep a file, or bytes, as an output, as they are now; returns the asset's id.

        Raises NotFound or InvalidInput if there is no such file.
        """
        begun = self._state
        record = outputs.keep(begun.folder, begun.execution, self._session.ground.mint, what, kind, name)
        record = repeating.rename_output(repeating.find_repeat(self._study), record)
        begun.writer.append(run_spool.ASSET, record)
        kept = record["asset"]["name"]
        if is_withheld(kept):
            begun.writer.append(run_spool.FACT, {WITHHELD: {f"name of {kept}": kinds_in(kept)}})
        return int(record["asset"]["rid"])

    def annotate(
        self,
        type: str,
        feature: str,
        values: outputs.Values,
        *,
        reasons: Mapping[Any, str] | None = None,
    ) -> None:
        """Write computed values of a feature: entity (rid or key) to value; the feature is declared if it is new.

        The values' origin is this execution. They are one change at once; without a catalogue they wait in the spool.
        """
        begun = self._state
        told = outputs.describe_values(type, feature, values, reasons, self._session.ground.mint)
        if repeating.find_repeat(self._study) is not None:
            record = keep_values(self._session, begun.folder, begun.execution, told)
            begun.writer.append(run_spool.ASSET, record)
            return
        edge = outputs.write_values(self._session, begun.execution, told)
        if edge is None:
            begun.writer.append(run_spool.VALUES, told)
        else:
            begun.writer.append(run_spool.EDGE, {"edge": edge, "files": []})

    # ------------------------------------------------------------ inside

    def _say_replaced(self, program: str) -> None:
        if self._begun is None or self._ended or self._owner != os.getpid():
            return
        if self._capture is not None:
            self._capture.kept.flush()
        self._begun.writer.append(run_spool.EXEC, {"to": screen(program[:LONGEST_REASON]).text})

    def _catch_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in ENDING_SIGNALS:
            # One that is ignored, as under nohup, or that the program handles itself is left alone.
            if signal.getsignal(number) is signal.SIG_DFL:
                self._old_handlers[number] = signal.signal(number, self._on_signal)

    def _free_signals(self) -> None:
        for number, handler in self._old_handlers.items():
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, handler)
        self._old_handlers = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._owner != os.getpid():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        raise Terminated(number)

    def __repr__(self) -> str:
        return f"<run {self.id}>" if self._begun else "<run that has not begun>"


def current_run() -> Run | None:
    """The run that is active here, if one is: the innermost, else that of the notebook."""
    run = _current.get()
    if run is None or not run.active:
        run = _default
    return run if run is not None and run.active else None


def set_default_run(run: Run | None) -> None:
    """Name the run that everything in this process is a part of, unless it says otherwise: that of a notebook."""
    global _default  # noqa: PLW0603 - cells run in contexts of their own, so a context variable does not reach them
    _default = run


@contextlib.contextmanager
def within(run: Run) -> Iterator[Run]:
    """Make a run that was begun elsewhere the current one: in a thread, which begins with none."""
    token = _current.set(run)
    try:
        yield run
    finally:
        _current.reset(token)


def _verdict(error: BaseException | None) -> tuple[Status, str | None]:
    """How a run ended whose block was left by this exception."""
    match error:
        case None:
            return Status.FINISHED, None
        case Terminated(number=number):
            return Status.KILLED, f"It was ended by {signal.Signals(number).name}."
        case KeyboardInterrupt():
            return Status.KILLED, "It was interrupted from the keyboard."
        case SystemExit(code=None | 0):
            return Status.FINISHED, None
        case SystemExit(code=int() as code):
            return Status.FAILED, f"It left with exit status {code}."
        case SystemExit(code=code):
            return Status.FAILED, f"It left with the words: {code}"
        case _:
            return Status.FAILED, f"{type(error).__name__}: {error}"
