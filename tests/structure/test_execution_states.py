"""The states of an execution: a closed table, reasons, and when silence means lost."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import Conflict, InvalidInput
from commonground.structure.execution_states import (
    ALLOWED,
    ENDED,
    NEEDS_REASON,
    TERMINAL,
    Status,
    check_transition,
    is_lost,
    read_status,
)

MOVES = {
    "created": {"running", "failed", "killed", "lost"},
    "running": {"finished", "failed", "killed", "lost"},
    "lost": {"finished", "failed", "killed"},
    "finished": set(),
    "failed": set(),
    "killed": set(),
}


@pytest.mark.parametrize(("old", "new"), list(product(Status, Status)))
def test_the_table_is_closed(old, new):
    """Of all 36 moves exactly the eleven written down are allowed; all others are a conflict."""
    allowed = new.value in MOVES[old.value]
    assert ((old, new) in ALLOWED) == allowed
    if allowed:
        assert check_transition(old, new, "because") is None
    else:
        with pytest.raises(Conflict) as caught:
            check_transition(old, new, "because")
        assert caught.value.what == f"An execution that is {old} cannot become {new}."


def test_the_states_are_these():
    """The states, and which of them are ends."""
    assert {status.value for status in Status} == set(MOVES)
    assert {"finished", "failed", "killed"} == TERMINAL
    assert {"finished", "failed", "killed", "lost"} == ENDED
    assert {"failed", "killed", "lost"} == NEEDS_REASON


@given(st.lists(st.sampled_from(list(Status))))
def test_nothing_leaves_an_end(path):
    """However moves are tried one after the other, an execution that reached an end stays there."""
    status, ended = Status.CREATED, None
    for wish in path:
        try:
            check_transition(status, wish, "because")
        except Conflict:
            continue
        status = wish
        assert ended is None
        ended = status if status in TERMINAL else None


@pytest.mark.parametrize(("old", "new"), sorted(ALLOWED))
@pytest.mark.parametrize("reason", [None, "", " \n"])
def test_bad_ends_and_mended_ones_need_a_reason(old, new, reason):
    """Failed, killed and lost need a reason, and so does every move of a lost one; the others do not."""
    if new in {"failed", "killed", "lost"} or old == "lost":
        with pytest.raises(InvalidInput) as caught:
            check_transition(old, new, reason)
        assert caught.value.what == f"A reason is missing for the move from {old} to {new}."
        late = old == "lost"
        expected = "say that its record came late, and from where" if late else f"say why it is {new}"
        assert caught.value.todo == f"Give a reason: {expected}."
    else:
        assert check_transition(old, new, reason) is None


def test_a_failed_start_stays_on_record():
    """An execution that never ran may fail with its reason."""
    assert check_transition(Status.CREATED, Status.FAILED, "the container could not be pulled") is None


def test_a_late_spool_mends_lost_only():
    """A lost execution may turn out finished; a finished one may not turn out lost."""
    assert check_transition(Status.LOST, Status.FINISHED, "spool delivered three days later") is None
    with pytest.raises(Conflict) as caught:
        check_transition(Status.FINISHED, Status.LOST, "silent")
    assert caught.value.todo == "Finished is the end of it."


def test_a_conflict_names_the_ways_out():
    """A refused move says what the execution can become."""
    with pytest.raises(Conflict) as caught:
        check_transition(Status.CREATED, Status.FINISHED)
    assert caught.value.todo == "From created it can become failed, killed, lost, running."


def test_words_are_read_as_states():
    """A plain word serves as a state; scratch and other words are none, and the states are named."""
    assert check_transition("created", "running") is None
    assert read_status("lost") is Status.LOST
    for old, new, bad in (("scratch", "running", "scratch"), ("created", "Running", "Running")):
        with pytest.raises(InvalidInput, match=f"'{bad}' is not a state of an execution") as caught:
            check_transition(old, new, "because")
        assert caught.value.todo == "The states are created, running, finished, failed, killed, lost."


@pytest.mark.parametrize(
    ("silent", "lost"), [(-5_000_000, False), (0, False), (1_500_000, False), (1_500_001, True), (10**12, True)]
)
def test_silence_longer_than_the_lease_is_lost(silent, lost):
    """With no word about the process, an execution is lost after the lease and not at it, nor if clocks ran back."""
    assert is_lost(10**15 + silent, 10**15, 1.5, None) is lost


@given(st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62), st.floats(min_value=0.001, max_value=1e9))
def test_the_machine_knows_better_than_the_lease(now, last_seen, lease):
    """A process that is there is never lost, one that is gone always is."""
    assert is_lost(now, last_seen, lease, process_alive=True) is False
    assert is_lost(now, last_seen, lease, process_alive=False) is True


@pytest.mark.parametrize("lease", [0, -1, float("nan")])
@pytest.mark.parametrize("alive", [True, False, None])
def test_a_lease_is_positive(lease, alive):
    """A lease of nothing would lose every execution, so it is refused."""
    with pytest.raises(InvalidInput, match=f"A lease of {lease} seconds is not positive") as caught:
        is_lost(1, 1, lease, alive)
    assert caught.value.todo == "Give a lease above 0."
    assert is_lost(2, 1, 0.5e-6, None) is True
