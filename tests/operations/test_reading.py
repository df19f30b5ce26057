"""Reading verbs on both engines: show, log, why, find, status, diff say what is there, and that the rest is not."""

from __future__ import annotations

import pytest

from commonground.errors import InvalidInput
from commonground.operations.session import Session
from commonground.structure.verdicts import Outcome, Verdict


@pytest.fixture
def filled(session: Session) -> Session:
    """Nodules with two readers' values, a released dataset that was changed since, and a run that used it."""
    session.write("type add", name="Nodule", columns=[{"name": "diameter", "holds": "real"}], why="The thing we read")
    session.write("entity upsert", type="Nodule", keys=["n1", "n2"], columns={"diameter": [4.5, 7.0]})
    session.write("feature add", name="malignancy", type="Nodule", holds="int", description="How likely")
    session.write("person add", name="Second reader", role="contributor")
    said = {"feature": "malignancy", "type": "Nodule", "keys": ["n1"]}
    session.write("feature annotate", **said, values=[2])
    session.write("feature annotate", **said, values=[4], rater="Second reader")
    chosen = {"criteria": "all that were read", "reason": "The others say nothing"}
    session.write("dataset create", name="nodules", type="Nodule", keys=["n1"], features=["malignancy"], **chosen)
    session.write("dataset release", dataset="nodules", description="The first", why="The board asked for it")
    session.write("dataset add", dataset="nodules", type="Nodule", keys=["n2"])
    started = session.write(
        "execution start", why="Is size enough?", name="size", inputs=["nodules@1.0.0"], params={"seed": 7, "trees": 3}
    )
    run = started.plan.args["execution"]["rid"]
    session.write("execution finish", execution=run, metrics={"auc": 0.9})
    return session


def test_why_of_a_version_cites_who_said_it(filled: Session) -> None:
    """The rule, its reason and the reason of the release are recorded with their change; the label rule is not."""
    reasons = filled.read("why", what="nodules@1.0.0")
    points = {point.question: point for point in reasons.points}
    assert points["How the members were chosen"].answer == "all that were read"
    assert points["Why these and not others"].answer == "The others say nothing"
    assert points["Why it was released"].answer == "The board asked for it"
    assert points["Why it was released"].who == "Tester"
    assert points["Label rule"].answer is None
    assert points["What the dataset is for"].answer is None
    assert reasons.recorded == 4


def test_why_of_a_version_does_not_take_later_rules(filled: Session) -> None:
    """A rule that is stated after the release does not become the release's reason."""
    filled.write("dataset add", dataset="nodules", criteria="another rule", reason="another reason")
    points = {point.question: point.answer for point in filled.read("why", what="nodules@1.0.0").points}
    assert points["How the members were chosen"] == "all that were read"
    now = {point.question: point.answer for point in filled.read("why", what="nodules").points}
    assert now["How the members were chosen"] == "another rule"


def test_why_of_a_run_tells_question_data_parameters_and_gaps(filled: Session) -> None:
    """The question, the exact version, parameters and seed are recorded; its code is not."""
    points = {point.question: point.answer for point in filled.read("why", what="size").points}
    assert points["What was asked"] == "Is size enough?"
    assert points["Data it used"] == "nodules@1.0.0"
    assert points["Parameters"] == "seed 7, trees 3"
    assert points["Seed"] == "7"
    assert points["Code"] is None


def test_why_of_a_feature_and_of_a_change(filled: Session) -> None:
    """A feature says what it means and who gave values; a change whether it has a reason."""
    points = {point.question: point.answer for point in filled.read("why", what="malignancy").points}
    assert points["What it says"] == "How likely"
    assert points["Who gave values"] == "2 raters, for 1 Nodule"
    assert points["Why it was declared"] is None
    change = filled.read("why", what="c2")
    assert change.points[0].answer == "The thing we read"


def test_show_has_neighbours_values_and_history(filled: Session) -> None:
    """A version is shown with where it is used, a run with what it used, an entity with all values side by side."""
    version = filled.read("show", what="nodules@1.0.0")
    assert [hop.name for hop in version.used_in] == ["size"]
    run = filled.read("show", what="size")
    assert [hop.name for hop in run.came_from] == ["nodules@1.0.0"]
    facts = {fact.label: fact.value for fact in run.facts}
    assert facts["asked"] == "Is size enough?"
    assert facts["metric auc"] == 0.9
    values = filled.read("show", what="Nodule:n1").values
    assert values.raters == ("Second reader", "Tester")
    assert values.rows == (("malignancy", ("4", "2")),)
    dataset = filled.read("show", what="nodules")
    assert dataset.log.total == 3
    assert dataset.log.entries[0].verb == "dataset add"


def test_show_of_an_execution_counts_its_parts_by_how_they_ended(session: Session) -> None:
    """Whoever looks at a run of several processes sees that one of them failed."""
    whole = session.write("execution start", name="whole").plan.args["execution"]["rid"]
    for name, end in (("a", {}), ("b", {"status": "failed", "reason": "rank one broke"}), ("c", {})):
        rid = session.write("execution start", name=name, parent=whole).plan.args["execution"]["rid"]
        session.write("execution finish", execution=rid, **end)
    facts = {fact.label: fact.value for fact in session.read("show", what="whole").facts}
    assert facts["parts"] == "2 finished, 1 failed"


def test_every_kind_can_be_shown_and_asked_why(filled: Session) -> None:
    """Nothing that has a name is without a page."""
    for word in ("Nodule", "Nodule:n2", "malignancy", "Tester", "nodules", "nodules@1.0.0", "size", "c3"):
        assert filled.read("show", what=word).name
        assert filled.read("why", what=word).points


def test_log_is_newest_first_and_knows_its_gaps(filled: Session) -> None:
    """The log counts all changes, names what each was about, and asks no reason of the end of a run."""
    log = filled.read("log", limit=3)
    assert log.total == 12
    assert [entry.verb for entry in log.entries] == ["execution finish", "execution start", "dataset add"]
    assert [entry.silent for entry in log.entries] == [False, False, True]
    assert log.entries[1].about == ("size",)
    about = filled.read("log", what="nodules@1.0.0")
    assert [entry.why for entry in about.entries] == ["The board asked for it"]


def test_log_as_of_a_change_ends_there(filled: Session) -> None:
    """An earlier view has no later changes."""
    log = filled.read("log", at=4)
    assert log.total == 4
    assert max(entry.change for entry in log.entries) == 4


def test_status_says_where_the_study_stands(filled: Session) -> None:
    """Types are counted, the dataset is seen to have changed since its release, and the next step is named."""
    overview = filled.read("status")
    assert [(kind.name, kind.count, kind.features) for kind in overview.types] == [("Nodule", 2, ("malignancy",))]
    line = overview.datasets[0]
    assert (line.name, line.newest, line.members, line.changed) == ("nodules", "1.0.0", 1, True)
    assert overview.executions == 1
    assert overview.runs[0].metrics == (("auc", 0.9),)
    assert any("cg diff nodules@1.0.0 nodules@dev" in step for step in overview.next)


def test_diff_names_what_came_and_gives_the_reasons(filled: Session) -> None:
    """A difference of two states names the entity that came; two kinds of thing are not compared."""
    found = filled.read("diff", old="nodules@1.0.0", new="nodules@dev")
    assert found.examples["members"] == ("n2",)
    assert found.difference.reasons == ("The others say nothing", "The others say nothing")
    assert found.said == ("The first", None)
    with pytest.raises(InvalidInput):
        filled.read("diff", old="nodules", new="size")


def test_find_finds_by_name_and_suggests_when_nothing_matches(filled: Session) -> None:
    """A word of a description finds the feature; a word that nothing has gives no result and names near it."""
    assert [one.name for one in filled.read("find", words=["likely"]).found] == ["Nodule.malignancy"]
    nothing = filled.read("find", words=["qqqq"])
    assert nothing.found == ()


def test_columns_are_found_by_name_former_name_and_description(session: Session) -> None:
    """A column is found by its words, under the id of its type; a word of the type alone means the type."""
    columns = [
        {"name": "age", "holds": "int", "description": "Years at the first visit"},
        {"name": "site", "holds": "text"},
    ]
    session.write("type add", name="Patient", columns=columns)
    session.write("rename", what="Patient.site", to="house")
    (kind,) = session.read("find", words=["patient"]).found
    assert (kind.kind, kind.name) == ("type", "Patient")
    for words in (["age"], ["Patient.age"], ["first", "visit"], ["patient", "years"]):
        (found,) = session.read("find", words=words, kind="column").found
        assert (found.kind, found.name, found.id) == ("column", "Patient.age", kind.id)
        assert found.description == "Years at the first visit"
    assert [one.name for one in session.read("find", words=["site"]).found] == ["Patient.house"]
    assert session.read("find", words=["age"], kind="feature").found == ()
    assert session.read("find", words=["nowhere"], kind="column").found == ()


def test_the_log_says_what_was_run_again_and_what_came_of_it(session: Session) -> None:
    """Not the re-run, nor the record of the act; and nobody is asked for a reason."""
    first = session.write("execution start", name="baseline").plan.anchors[0]
    second = session.write("execution start", name="baseline again").plan.anchors[0]
    verdict = Verdict(Outcome.IDENTICAL, None).as_plain()
    session.write("execution reproduced", execution=first, verdict=verdict, runs=[second])
    (entry,) = session.read("log", limit=1).entries
    assert (entry.about, entry.more, entry.came_to, entry.silent) == (("baseline",), 0, "identical", False)


def test_the_log_of_an_entity_says_who_brought_it_in_and_who_said_what(filled: Session) -> None:
    """Also what was about many at once; nothing that was about another entity alone, and nothing from after."""
    log = filled.read("log", what="Nodule:n1")
    assert [entry.verb for entry in log.entries] == ["feature annotate", "feature annotate", "entity upsert"]
    assert [entry.verb for entry in filled.read("log", what="Nodule:n2").entries] == ["entity upsert"]
    assert filled.read("log", what="Nodule:n1", at=6).total == 2
    assert filled.read("show", what="Nodule:n1").log.total == 3
    filled.write("entity upsert", type="Nodule", keys=["n2"], columns={"diameter": [8.0]}, why="Measured again")
    assert filled.read("log", what="Nodule:n2").entries[0].why == "Measured again"
