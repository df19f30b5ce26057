"""Tables that come in: what is new, what changes, what stays, and that it is the same however many rows there are."""

from __future__ import annotations

from pathlib import Path

from commonground.operations.importing import FEW_WORDS, TOGETHER
from commonground.operations.session import Session
from commonground.structure import entities


def state_of(session: Session) -> list[tuple[object, ...]]:
    """The living rows of the type Row: key and values, by key."""
    with session.reading() as on:
        kind = entities.get_type(on.view, "Row")
        listed = entities.list_entities(on.view, kind)
        return sorted(zip(listed["key"], *(listed[column.place] for column in kind.columns), strict=True))


def bring_in(session: Session, path: Path, lines: list[str]) -> dict[str, object]:
    """Import lines as a CSV file; what the plan said it does."""
    path.write_text("\n".join(lines) + "\n")
    done = session.write("import table", path=path, type="Row", key="id")
    assert done.change is not None
    return dict(done.plan.effect)


def test_a_table_with_a_new_column(session: Session, tmp_path: Path) -> None:
    """Rows that are new, that change in an old, a new or both columns, or stay, are told apart and written right."""
    bring_in(session, tmp_path / "first.csv", ["id,a", "k1,1", "k2,2", "k3,3", "k4,4", "k5,5"])
    lines = ["id,b,a", "k0,x,10", "k1,x,1", "k2,,2", "k3,y,33", "k4,,44", "k9,,90"]
    told = bring_in(session, tmp_path / "second.csv", lines)
    assert {name: told[name] for name in ("new", "changed", "unchanged")} == {"new": 2, "changed": 3, "unchanged": 1}
    assert told["absent, for example"] == ["k5"]
    assert state_of(session) == [
        ("k0", 10, "x"), ("k1", 1, "x"), ("k2", 2, None), ("k3", 33, "y"), ("k4", 44, None), ("k5", 5, None),
        ("k9", 90, None),
    ]  # fmt: skip


def test_more_rows_than_are_held_together(session: Session, tmp_path: Path) -> None:
    """Many rows come in as they stand, with few or many texts in a column; delivered again they change nothing."""
    rows = [(f"k{row:06}", row / 4, f"few {row % 7}", f"many {row % (2 * FEW_WORDS)}") for row in range(TOGETHER + 3)]
    lines = ["id,a,b,c", *(f"{key},{a!r},{b},{c}" for key, a, b, c in rows)]
    told = bring_in(session, tmp_path / "table.csv", lines)
    assert told["new"] == len(rows)
    assert state_of(session) == rows
    again = session.write("import table", path=tmp_path / "table.csv", type="Row", key="id")
    assert again.change is None
    (tmp_path / "other.csv").write_text("\n".join([*lines[:-2], lines[-2].replace("few", "new"), "k9,1.0,x,y"]) + "\n")
    done = session.write("import table", path=tmp_path / "other.csv", type="Row", key="id")
    assert {name: done.plan.effect[name] for name in ("new", "changed", "unchanged")} == {
        "new": 1,
        "changed": 1,
        "unchanged": len(rows) - 2,
    }
    assert len(state_of(session)) == len(rows) + 1
