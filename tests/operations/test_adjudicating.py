"""Adjudication: a value of its own kind by a person, and which readings it settles."""

from __future__ import annotations

import pytest

from commonground.errors import Conflict, InvalidInput
from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.structure.selectors import adjudicated, majority, median


def declare(session: Session) -> None:
    """Three nodules read by two people: they agree on n1, disagree on n2, and one cannot grade n3."""
    session.write("person add", name="Bea")
    session.write("type add", name="Nodule")
    session.write("entity upsert", type="Nodule", keys=["n1", "n2", "n3", "n4"], columns={})
    session.write("vocabulary add", name="grade", terms=["low", "middle", "high"], ordered=True)
    session.write("feature add", name="grade", type="Nodule", holds="term", vocabulary="grade")
    keys = ["n1", "n2", "n3"]
    session.write("feature annotate", feature="grade", keys=keys, values=["low", "low", "high"])
    told = {"keys": keys, "values": ["low", "high", None], "reasons": [None, None, "motion"]}
    session.write("feature annotate", feature="grade", rater="Bea", **told)
    session.write("dataset create", name="nodules", type="Nodule", keys=[*keys, "n4"], features=["grade"])


def chosen(session: Session, selector: object) -> list[object]:
    """The grades of n1 to n4 by a rule."""
    with session.reading() as on:
        frame = read_frame(on, dataset="nodules@dev", features={"grade": selector})  # type: ignore[dict-item]
    found: list[object] = frame.table["grade"].to_pylist()
    return found


def test_disagreements_are_listed_and_settled(session: Session) -> None:
    """Who said what is listed by key, "cannot grade" included; a settled one is told with its value, and by whom."""
    declare(session)
    found = session.read("feature disagreements", feature="grade")
    assert [(one.key, set(one.readings), one.settled) for one in found] == [
        ("n2", {("Tester", "low"), ("Bea", "high")}, None),
        ("n3", {("Tester", "high"), ("Bea", "cannot grade")}, None),
    ]
    done = session.write("feature adjudicate", feature="grade", keys=["n2"], values=["middle"], by="Bea")
    assert (done.plan.effect["readings settled"], done.plan.effect["by"]) == (2, "Bea")
    (left,) = session.read("feature disagreements", feature="grade", unsettled=True)
    assert left.key == "n3"
    settled = session.read("feature disagreements", feature="grade")[0]
    assert (settled.settled, settled.by, settled.since) == ("middle", "Bea", 0)


def test_a_reading_after_it_was_settled_is_told(session: Session) -> None:
    """The readings that were settled are on record, so that a newer one stands out."""
    declare(session)
    session.write("feature adjudicate", feature="grade", keys=["n2"], values=["middle"])
    session.write("feature annotate", feature="grade", keys=["n2"], values=["high"], slots=["third"])
    assert session.read("feature disagreements", feature="grade")[0].since == 1


def test_the_selector_reads_it_and_nothing_else_counts_it(session: Session) -> None:
    """`adjudicated` gives the value; majority, median and agreement are as without it; the readings stay."""
    declare(session)
    rules = (majority("drop"), median("low"))
    before = [chosen(session, rule) for rule in rules]
    alpha = session.read("feature agreement", feature="grade", resamples=0).alpha
    session.write("feature adjudicate", feature="grade", keys=["n2", "n3"], values=["middle", "low"], by="Bea")
    assert chosen(session, adjudicated()) == [None, "middle", "low", None]
    assert chosen(session, adjudicated(majority("drop"))) == ["low", "middle", "low", None]
    assert [chosen(session, rule) for rule in rules] == before
    assert session.read("feature agreement", feature="grade", resamples=0).alpha == alpha
    assert ("grade", ("high", "middle", "low")) in session.read("show", what="Nodule:n2").values.rows


def test_what_nobody_disagrees_on_is_refused_unless_said(session: Session) -> None:
    """All that agree, that nobody read and that come twice are listed at once; agreement may be settled if said."""
    declare(session)
    with pytest.raises(InvalidInput) as caught:
        session.write("feature adjudicate", feature="grade", keys=["n1", "n4", "n2", "n2"], values=["low"] * 4)
    assert caught.value.faults == (
        "n1: nothing disagrees; 2 say low",
        "n4: nobody has read it",
        "n2: it is named twice",
    )
    with pytest.raises(InvalidInput, match="not terms"):
        session.write("feature adjudicate", feature="grade", keys=["n2"], values=["huge"])
    session.write("feature adjudicate", feature="grade", keys=["n1"], values=["middle"], agreed=True)
    assert chosen(session, adjudicated())[0] == "middle"


def test_an_adjudication_is_undone_and_what_it_settled_is_in_use(session: Session) -> None:
    """Its inverse opens the question again; a reading that was settled cannot be undone before that."""
    declare(session)
    with session.reading() as on:
        number = on.view.change - 1
    done = session.write("feature adjudicate", feature="grade", keys=["n2"], values=["middle"])
    with pytest.raises(Conflict, match="settled"):
        session.write("revert", change=number)
    assert done.change is not None
    session.write("revert", change=done.change.id)
    assert len(session.read("feature disagreements", feature="grade", unsettled=True)) == 2
    session.write("revert", change=number)


def test_an_erasure_reaches_what_was_settled(session: Session) -> None:
    """Erasing the entity destroys the adjudication and its list of readings, and the record stays sound."""
    declare(session)
    session.write("feature adjudicate", feature="grade", keys=["n2"], values=["middle"])
    done = session.write("erase", type="Nodule", key="n2", basis="wrong upload")
    assert done.plan.effect["values and memberships"]["settled"] == 2
    assert not session.read("verify", full=True).faults
    assert [one.key for one in session.read("feature disagreements", feature="grade")] == ["n3"]
