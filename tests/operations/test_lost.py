"""The reason of a lost execution says what is known, and claims nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from commonground.operations.lost import say_lost
from commonground.operations.run_spool import Gathered
from commonground.store.processes import ProcessMark, this_process

GONE = replace(this_process(), pid=2**22 + 1)
CLAIMS = ("signal", "started anew", "silent for more", "replaced itself", "`cg run`")


@pytest.mark.parametrize(
    ("mark", "replaced", "supervised", "words"),
    [
        (GONE, "", False, "signal"),
        (replace(GONE, boot_id="another"), "", False, "started anew"),
        (replace(GONE, host="elsewhere/0123/4"), "", False, "silent for more"),
        (GONE, "/bin/sh", False, "replaced itself"),
        (GONE, "", True, "`cg run`"),
    ],
)
def test_a_reason_makes_one_claim(mark: ProcessMark, replaced: str, supervised: bool, words: str) -> None:
    """Of a signal, a new start of the machine, silence, exec and a lost launcher exactly the known one is said."""
    gathered = Gathered(Path("/nowhere"), 1, owner=mark, processes=[(mark, False)])
    if replaced:
        gathered.replaced[mark] = (1, replaced)
    if supervised:
        gathered.program = replace(GONE, pid=GONE.pid + 1)
    reason = say_lost(gathered)
    assert [claim for claim in CLAIMS if claim in reason] == [words], reason
    assert replaced in reason
