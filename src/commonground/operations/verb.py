"""What a verb says of itself: name, role, parameters and help, as plain values that load nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a verb."""

    name: str
    """Its name, at every door."""
    help: str
    """One sentence."""
    type: str = "text"
    """text, int, real, flag, path, pairs, json; object: a mapping, as JSON where text is typed; column: what declares
    one, as `size:real:mm` where text is typed."""
    required: bool = False
    """Whether it must be given."""
    positional: bool = False
    """Whether the command line takes it by position."""
    many: bool = False
    """Whether it may be given several times."""
    choices: tuple[str, ...] = ()
    """The words it may be."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb."""

    name: str
    """Its words, the same at every door: `dataset release`."""
    module: str
    """The file in `operations` that has its functions."""
    function: str
    """The end of their names: `plan_release`, `apply_release`, or `read_release`."""
    help: str
    """One sentence of what it does."""
    role: str
    """The least role that may: reader, contributor, curator, owner."""
    writes: bool
    """Whether it is a plan that is committed."""
    params: tuple[Param, ...] = ()
    """Its parameters."""
    stages: bool = False
    """Whether it prepares files before the lock is taken: `stage_release`."""
    finishes: bool = False
    """Whether something remains to be done after the change, which may be repeated: `finish_erase`."""
    states: bool = False
    """Whether it says how things shall be, so that after a conflict it is simply planned anew."""
    judges: bool = False
    """Whether it is a person's own judgement, which no agent gives for them; to prepare it is open to everybody."""
    sweeps: bool = False
    """Whether it takes away what any other plan may name: then its `recheck_` looks again, under the lock, at what that
    is, if somebody came in between."""
