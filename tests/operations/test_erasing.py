"""Erasing an entity: the payload is found nowhere, and everything else still verifies."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from commonground.errors import InvalidInput, NotFound, StorageError
from commonground.identity import show_rid
from commonground.operations import doctor
from commonground.operations.completing import DENY_LIST, complete_erasures
from commonground.operations.executions import finish_plan
from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study
from commonground.operations.waiting import has_unfinished_erasure
from commonground.store import batches, faults, schema, sqlite_driver
from commonground.store.verify import verify
from commonground.structure import entities
from commonground.structure.assets import find_series, get_asset, list_assets, list_files
from commonground.structure.stored_files import list_file_uses
from commonground.structure.tables import asset, value_text

MARK = "ZQX-4711-secret"


def fill(session: Session, folder: Path) -> None:
    """Two patients with scans, one of them with a mark in every cell that can hold one."""
    patients = folder / "patients.csv"
    patients.write_text(f"patient,note\n{MARK},{MARK} note\nother,plain\n")
    session.write("import table", path=patients, type="Patient", key="patient")
    session.write(
        "type add",
        name="Scan",
        columns=[{"name": "patient", "holds": "link", "target": "Patient"}, {"name": "remark", "holds": "text"}],
    )
    session.write(
        "entity upsert",
        type="Scan",
        keys=[f"{MARK}-1", "other-1"],
        columns={"patient": [MARK, "other"], "remark": [f"of {MARK}", "fine"]},
    )
    session.write("feature add", name="finding", type="Scan", holds="text")
    session.write("feature annotate", feature="finding", keys=[f"{MARK}-1", "other-1"], values=[f"{MARK}!", "none"])
    session.write("dataset create", name="scans", type="Scan", keys=[f"{MARK}-1", "other-1"], features=["finding"])
    session.write("dataset release", dataset="scans", why=f"as {MARK} asked")


def holding(folder: Path) -> list[str]:
    """The files below a folder in which the mark stands."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]


def test_erased_payload_is_found_nowhere_and_the_rest_verifies(session: Session, tmp_path: Path) -> None:
    """After an erasure no file of the study holds the payload, the record verifies, and the version still reads."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    fill(session, inbox)
    study = session.ground.folder
    if session.ground.database.dialect == "sqlite":
        assert holding(study)
    done = session.write("erase", type="Patient", key=MARK, basis="withdrawn consent", why="consent withdrawn")
    assert done.plan.effect["redacts versions"] == ["scans@1.0.0"]
    session.ground.close()
    assert holding(study) == []
    found = verify(session.ground, full=True)
    assert found.intact, found.faults
    assert "intact except" in found.sentence
    with session.reading() as on:
        frame = read_frame(on, dataset="scans@1.0.0")
    assert frame.table["key"].to_pylist() == ["other-1"]


def test_erasure_leaves_others_alone(session: Session, tmp_path: Path) -> None:
    """What belongs to somebody else stays: entities, values and memberships."""
    fill(session, tmp_path)
    session.write("erase", type="Patient", key=MARK, basis="withdrawn consent")
    with session.reading() as on:
        frame = read_frame(on, dataset="scans@dev")
    assert frame.table["patient"].to_pylist() == ["other"]
    assert session.read("dataset status", dataset="scans").rows["Scan.finding"] == 1


def test_only_imported_files_in_which_they_stand_are_destroyed(session: Session, tmp_path: Path) -> None:
    """Of three tables of one type that which names the person goes, and a workbook or an unclear one; another stays."""
    (tmp_path / "first.csv").write_text("patient,note\np1,one\np2,two\n")
    (tmp_path / "second.csv").write_text("patient,note\np3,three\np22,four\n")
    for name in ("first.csv", "second.csv"):
        session.write("import table", path=tmp_path / name, type="Patient", key="patient")
    plan = session.plan("erase", type="Patient", key="p2", basis="withdrawn consent")
    assert plan.effect["files"] == ["first.csv"]
    session.commit(plan)
    with session.ground.view() as view:
        (kept,) = list_assets(view, [row.rid for row in view.list_rows(asset)])
    assert kept.name == "second.csv"
    assert session.ground.blobs.has(kept.digest)
    assert [one is None for one in words_of(session, "import table")] == [True, False]
    found = verify(session.ground, full=True)
    assert found.intact, found.faults


def everything_in(session: Session) -> bytes:
    """Every byte of the files of a study, and of its tables on a server."""
    files = [path.read_bytes() for path in session.ground.folder.rglob("*") if path.is_file()]
    with session.ground.database.read() as connection:
        if connection.dialect.name == "postgresql":
            for name in sa.inspect(connection).get_table_names():
                rows = connection.execute(sa.text(f'SELECT "{name}"::text FROM "{name}"'))
                files += [row[0].encode() for row in rows]
    return b"\n".join(files)


def words_of(session: Session, verb: str) -> list[dict[str, object] | None]:
    """The arguments that are left of the changes by a verb; None where they are erased."""
    log = schema.change
    with session.ground.view() as view:
        rows = view.rows(sa.select(log.c.words).where(log.c.verb == verb).order_by(log.c.id))
    return [json.loads(row.words)["args"] if row.words else None for row in rows]


def test_words_with_readers_or_values_of_theirs_go(session: Session, tmp_path: Path) -> None:
    """The label of a reader known only within them, and a value that only they had, leave with the words that hold it.

    The same words about others stay.
    """
    session.write("type add", name="Patient", columns=[{"name": "stage", "holds": "text"}])
    told = {"stage": ["III at Jane Doe's", "IV", "IV"]}
    session.write("entity upsert", type="Patient", keys=["p1", "p2", "p3"], columns=told)
    session.write("feature add", name="grade", type="Patient", holds="int")
    for key, reader in (("p1", "sister of Jane Doe"), ("p3", "reader 1")):
        session.write("feature annotate", feature="grade", keys=[key], values=[1], slots=[reader])
    for key, reader in (("p1", "brother of Jane Doe"), ("p3", "reader 2")):
        path = tmp_path / f"{key}.csv"
        path.write_text(f"patient,who,grade\n{key},{reader},2\n")
        session.write("import readings", path=path, type="Patient", entity="patient", rater="who", slots=True)
    session.write("retype", what="Patient.stage", to="int", maps={"IV": 4, "III at Jane Doe's": 3})
    session.write("type extend", type="Patient", columns=[{"name": "size", "holds": "text"}])
    size = {"size": ["small", "small", "small"]}
    session.write("entity upsert", type="Patient", keys=["p1", "p2", "p3"], columns=size)
    session.write("retype", what="Patient.size", to="int", maps={"small": 1})
    session.write("erase", type="Patient", key="p1", basis="withdrawn consent")
    annotated, read, retyped = (words_of(session, verb) for verb in ("feature annotate", "import readings", "retype"))
    assert [one is None for one in annotated] == [True, False]
    assert [one is None for one in read] == [True, False]
    assert [one is None for one in retyped] == [True, False]
    held = b"".join(path.read_bytes() for path in session.ground.folder.rglob("*") if path.is_file())
    assert b"Jane Doe" not in held
    assert verify(session.ground, full=True).intact


@pytest.mark.parametrize(
    ("holds", "theirs", "others", "read"),
    [
        ("real", 3.0, 4.0, "3"),
        ("bool", True, False, "yes"),
        ("instant", "2024-03-05T10:00:00Z", "2024-03-06T10:00:00Z", "2024-03-05T10:00:00Z"),
        ("term", "cavitary", "solid", "cavitary"),
        ("link", "ward 7", "ward 8", "ward 7"),
    ],
)
def test_words_with_a_value_of_theirs_go_whatever_it_is(
    session: Session, holds: str, theirs: object, others: object, read: str
) -> None:
    """A value that something else was read for is known by how it was read, not by how it is stored."""
    session.write("vocabulary add", name="Texture", terms=["solid", "cavitary"])
    session.write("type add", name="Ward")
    session.write("entity upsert", type="Ward", keys=["ward 7", "ward 8"], columns={})
    target = {"term": "Texture", "link": "Ward"}.get(holds)
    session.write("type add", name="Patient", columns=[{"name": "it", "holds": holds, "target": target}])
    session.write("entity upsert", type="Patient", keys=["p1", "p2"], columns={"it": [theirs, others]})
    session.write("retype", what="Patient.it", to="text", maps={read: "one"})
    assert words_of(session, "retype") != [None]
    session.write("erase", type="Patient", key="p1", basis="withdrawn consent")
    assert words_of(session, "retype") == [None]


def test_what_still_names_them_is_listed(session: Session, tmp_path: Path) -> None:
    """Names, descriptions and what runs were told stay, so the plan says where a key stands."""
    session.write("type add", name="Patient")
    session.write("entity upsert", type="Patient", keys=["p1", "p12"], columns={})
    (tmp_path / "note.txt").write_text("x")
    session.write("asset add", path=tmp_path / "note.txt", description="Letter about p1")
    session.write("dataset create", name="rest", type="Patient", keys=["p12"], description="All but p1")
    session.write("dataset create", name="other", type="Patient", keys=["p12"], description="With p12")
    session.write("execution start", name="told", params={"only": "p1"})
    session.write("vocabulary add", name="side", terms=[{"name": "left", "synonyms": ["as of p1"]}])
    plan = session.plan("erase", type="Patient", key="p1", basis="withdrawn consent")
    assert plan.effect["still named by"] == ["asset note.txt", "dataset rest", "execution told", "term left"]
    other = session.plan("erase", type="Patient", key="p12", basis="withdrawn consent")
    assert other.effect["still named by"] == ["dataset other"]


def test_what_runs_were_told_of_them_goes(session: Session, tmp_path: Path) -> None:
    """Name, reason, command line, details and parameters lose a long key, in every state of theirs; all else stays."""
    session.write("type add", name="Patient")
    session.write("entity upsert", type="Patient", keys=["patient-47", "patient-470"], columns={})
    listed = {"paths": [f"scans/{'x' * 600}_patient-47.png", "patient-470"], "trees": 47}
    run = session.write(
        "execution start",
        name="without patient-47",
        why="patient-47 moved",
        argv=["train.py", "--exclude=patient-47,patient-470"],
        params={"only": "patient-470", "left_out": listed},
    ).plan.args["execution"]["rid"]
    told = {"intent": "What if patient-47 were not there?", "machine": "scanner 2"}
    ended = {"status": "failed", "reason": "No picture of patient-47", "ended_at": 5, "details": told}
    session.commit(finish_plan(session.ground.mint, execution=run, changes=ended))
    for number, text in enumerate(("reading patient-47", "reading patient-470")):
        (tmp_path / f"{number}.log").write_text(text)
        session.write("asset add", path=tmp_path / f"{number}.log", kind="log")
    other = session.write("execution start", name="other", params={"seed": 47}).plan.args["execution"]["rid"]
    plan = session.plan("erase", type="Patient", key="patient-47", basis="withdrawn consent")
    assert plan.effect["words of executions"] == ["without patient-47"]
    (printed,) = plan.effect["still named by"]
    assert printed.startswith("asset 0.log ")
    session.commit(plan)
    record = session.read("execution get", execution=run)
    one = record.execution
    assert (one.name, one.reason) == ("without [erased]", "No picture of [erased]")
    assert one.argv == ("train.py", "--exclude=[erased],patient-470")
    assert (one.details["intent"], one.details["machine"]) == ("What if [erased] were not there?", "scanner 2")
    paths = [f"scans/{'x' * 600}_[erased].png", "patient-470"]
    assert record.params == {"only": "patient-470", "left_out.paths": paths, "left_out.trees": 47}
    assert session.read("execution get", execution=other).params == {"seed": 47}
    assert [one.name for one in session.read("find", words=["without"]).found] == ["without [erased]"]
    assert verify(session.ground, full=True).intact
    assert len(re.findall(rb"(?i)patient-47(?!0)", everything_in(session))) == len(["what was printed"])


def test_the_basis_names_nobody(session: Session) -> None:
    """Basis and reason stay in the change, the basis also on the list of erasures: a key of theirs is taken out."""
    session.write("type add", name="Patient")
    session.write("entity upsert", type="Patient", keys=["p1", "patient-12"], columns={})
    asked = session.write("erase", type="Patient", key="p1", basis="p1 asked for it")
    assert asked.plan.args["basis"] == "[erased] asked for it"
    wrong = session.write(
        "erase", type="Patient", key="patient-12", basis="patient-12 is in study 12", why="patient-12 wrote on 12 May"
    )
    assert wrong.plan.args["basis"] == "[erased] is in study 12"
    assert wrong.change is not None
    assert wrong.change.why == "[erased] wrote on 12 May"
    held = b"".join(path.read_bytes() for path in session.ground.folder.rglob("*") if path.is_file())
    assert b"patient-12" not in held


def test_terms_are_words_of_the_study_and_stay(session: Session) -> None:
    """A term that only an erased row used stays in the vocabulary and in the terms of a released version."""
    session.write("vocabulary add", name="texture", terms=["solid", "cavitary"])
    session.write("type add", name="Nodule", columns=[{"name": "texture", "holds": "term", "target": "texture"}])
    told = {"texture": ["solid", "cavitary"]}
    session.write("entity upsert", type="Nodule", keys=["n1", "n2"], columns=told)
    session.write("dataset create", name="nodules", type="Nodule", keys=["n1", "n2"])
    session.write("dataset release", dataset="nodules")
    session.write("erase", type="Nodule", key="n2", basis="withdrawn consent")
    paths = [path for path in session.ground.folder.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"PAR1"]
    assert any("cavitary" in str(pq.read_table(path).to_pylist()) for path in paths)
    with session.reading() as on:
        assert read_frame(on, dataset="nodules@1.0.0").table["texture"].to_pylist() == ["solid"]
    assert verify(session.ground, full=True).intact


def test_erasure_needs_a_basis_and_an_entity(session: Session, tmp_path: Path) -> None:
    """An erasure without a basis, or of nobody, is refused and changes nothing."""
    fill(session, tmp_path)
    with session.reading() as on:
        before = on.view.change
    with pytest.raises(InvalidInput):
        session.write("erase", type="Patient", key=MARK, basis=" ")
    with pytest.raises(NotFound):
        session.write("erase", type="Patient", key="nobody", basis="withdrawn consent")
    with session.reading() as on:
        assert on.view.change == before


def keep(session: Session, content: bytes) -> int:
    """An execution that kept values in a file, as a re-run does; the asset."""
    start = session.write("execution start", name="again", inputs=["scans@1.0.0"]).plan
    blob = session.ground.blobs.put_bytes(content)
    asset, edge = session.ground.mint.many(2)
    fields = {"rid": asset, "name": "kept.parquet", "kind": "values", "digest": blob.digest, "size": blob.size}
    details = {"feature": "finding", "type": "Scan"}
    execution = start.args["execution"]["rid"]
    made = {"rid": edge, "src": execution, "dst": asset, "relation": "produced", "role": "kept", "details": details}
    ended = {"status": "finished", "ended_at": 5}
    session.commit(finish_plan(session.ground.mint, execution=execution, changes=ended, assets=[fields], edges=[made]))
    return asset


def as_file(values: dict[int, str]) -> bytes:
    """Kept values as a Parquet file."""
    buffer = io.BytesIO()
    table = pa.table({"entity": list(values), "value": list(values.values())})
    pq.write_table(table, buffer, compression="none")
    return buffer.getvalue()


def test_kept_values_of_a_re_run_lose_the_erased_rows(session: Session, tmp_path: Path) -> None:
    """The file in which a re-run kept its values is written anew: the erased entity's is gone, the other's stays."""
    fill(session, tmp_path)
    with session.reading() as on:
        gone, stays = read_frame(on, dataset="scans@1.0.0").table.sort_by([("key", "ascending")])["rid"].to_pylist()
    asset = keep(session, as_file({gone: f"{MARK}?", stays: "none"}))
    alone = keep(session, as_file({stays: "none"}))
    with session.reading() as on:
        untouched = get_asset(on.view, alone)
    done = session.write("erase", type="Patient", key=MARK, basis="withdrawn consent")
    assert done.plan.effect["files of re-runs that lose rows"] == ["kept.parquet"]
    with session.reading() as on:
        now = get_asset(on.view, asset)
        table = pq.read_table(io.BytesIO(on.ground.blobs.get_bytes(now.digest)))
        assert table.to_pylist() == [{"entity": stays, "value": "none"}]
        assert get_asset(on.view, alone) == untouched
    session.ground.close()
    assert holding(session.ground.folder) == []
    assert verify(session.ground, full=True, files=list_file_uses).intact


def test_series_go_with_whom_they_belong_to(session: Session, tmp_path: Path) -> None:
    """The files of a series that belongs to the erased entity are destroyed; those that another series has too stay."""
    fill(session, tmp_path)
    session.write("type extend", type="Scan", columns=[{"name": "slices", "holds": "asset"}])
    shared = b"the same in both"
    for name, own in (("first", MARK.encode()), ("second", b"of the other")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.raw").write_bytes(own)
        (tmp_path / name / "2.raw").write_bytes(shared)
        session.write("asset add", path=tmp_path / name)
        with session.reading() as on:
            series = find_series(on.view, name)
        assert series is not None
        key = f"{MARK}-1" if name == "first" else "other-1"
        session.write("entity upsert", type="Scan", keys=[key], columns={"slices": [series.rid]})
    session.write("erase", type="Patient", key=MARK, basis="withdrawn consent")
    with session.reading() as on:
        assert find_series(on.view, "first") is None
        assert [path for path, _, _ in list_files(on.view, series.rid)] == ["1.raw", "2.raw"]
        assert on.ground.blobs.get_bytes(list_files(on.view, series.rid)[1][1]) == shared
    session.ground.close()
    assert holding(session.ground.folder) == []
    assert verify(session.ground, full=True, files=list_file_uses).intact


def test_an_erasure_that_was_cut_off_is_finished_by_whoever_comes_next(session: Session, tmp_path: Path) -> None:
    """Cut off before anything is destroyed, it is pending, told, and done when the study is opened."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    fill(session, inbox)
    plan = session.plan("erase", type="Patient", key=MARK, basis="withdrawn consent")
    with faults.planned("files.unlink:1:eio"), pytest.raises(StorageError):
        session.commit(plan)
    assert has_unfinished_erasure(session.ground)
    study = session.ground.folder
    assert [one.about for one in doctor.examine(study.parent) if "erasure" in one.about] == ["erasure"]
    assert holding(study)
    session.ground.close()
    again = open_study(study.parent, person="Tester")
    assert not has_unfinished_erasure(again.ground)
    again.ground.close()
    assert holding(study) == []
    assert show_rid(plan.id) in (study / DENY_LIST).read_text()


def test_a_file_that_is_recorded_again_is_not_destroyed(session: Session, tmp_path: Path) -> None:
    """What somebody adds anew between the change of an erasure and its end is kept."""
    fill(session, tmp_path)
    table = tmp_path / "patients.csv"
    with faults.planned("files.unlink:1:eio"), pytest.raises(StorageError):
        session.write("erase", type="Patient", key=MARK, basis="wrong upload")
    session.write("asset add", path=table)
    assert complete_erasures(session.ground)
    assert session.read("verify", full=True).faults == []


def test_rows_that_a_killed_import_left_do_not_hinder_an_erasure(session: Session, tmp_path: Path) -> None:
    """Staged values of a process that has ended are no part of the record: they are destroyed with the rest."""
    fill(session, tmp_path)
    with session.reading() as on:
        (rid,) = entities.find_keys(on.view, entities.get_type(on.view, "Scan"), [f"{MARK}-1"]).values()
    batches.stage(session.ground.database, value_text, 71, {"entity": [rid], "value": [MARK]})
    with session.ground.database.write() as connection:
        (mark,) = connection.execute(sa.select(schema.staging.c.process)).scalars()
        dead = json.dumps({**json.loads(mark), "pid": 2**22 + 7, "start": 12345})
        connection.execute(sa.update(schema.staging).values(process=dead))
    session.write("erase", type="Patient", key=MARK, basis="withdrawn consent")
    with session.ground.database.read() as connection:
        assert connection.execute(sa.select(value_text.c.value).where(value_text.c.value == MARK)).all() == []
    assert session.read("verify", full=True).intact


def test_an_erasure_is_not_finished_while_the_log_cannot_be_emptied(tmp_path: Path) -> None:
    """As long as another program reads the old state, its pages stay in the log, and the erasure stays pending."""
    session = create_study(tmp_path / "study", name="Test study", person="Tester")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    fill(session, inbox)
    driver = sqlite_driver.load_driver()
    reader = driver.connect(str(session.ground.database.path), isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM change").fetchone()
    before = sqlite_driver.PRAGMAS
    try:
        sqlite_driver.PRAGMAS = tuple(each.replace("30000", "50") for each in before)
        session.ground.close()
        session = open_study(tmp_path / "study", person="Tester")
        session.write("erase", type="Patient", key=MARK, basis="withdrawn consent")
    finally:
        sqlite_driver.PRAGMAS = before
    assert has_unfinished_erasure(session.ground)
    reader.execute("ROLLBACK")
    reader.close()
    assert complete_erasures(session.ground)
    assert not has_unfinished_erasure(session.ground)
    assert holding(session.ground.folder) == []
    session.ground.close()
