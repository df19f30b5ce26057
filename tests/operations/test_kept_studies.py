"""What the fixtures hand to each test is what the product makes, whatever the tests before left behind."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from commonground.operations.studies import create_study


def picture(ground):
    """The tables of a study with their columns and indexes, and the rows of each."""
    with ground.database.read() as connection:
        there = sa.inspect(connection)
        names = sorted(there.get_table_names())
        shape = {
            name: (
                [(column["name"], str(column["type"]), column["nullable"]) for column in there.get_columns(name)],
                sorted(str(index["name"]) for index in there.get_indexes(name)),
            )
            for name in names
        }
        rows = {name: sorted(map(repr, connection.exec_driver_sql(f'SELECT * FROM "{name}"'))) for name in names}
    return shape, rows


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_each_test_gets_a_new_study(engine, request, tmp_path):
    """After tables, rows and columns came, many rows even, the study is as the product makes it, and so is the next."""
    kept = request.getfixturevalue("kept_server_study" if engine == "postgresql" else "kept_file_study")
    url = request.getfixturevalue("postgres_url") if engine == "postgresql" else None
    made = create_study(tmp_path / "made", name="Test study", url=url)
    shape, rows = picture(made.ground)
    made.ground.close()
    first = kept.renew(tmp_path / "first")
    begun = picture(first.ground)
    assert begun[0] == shape
    assert {name: len(found) for name, found in begun[1].items()} == {name: len(found) for name, found in rows.items()}
    keys = [str(number) for number in range(3000)]
    first.write("type add", name="Patient", columns=[{"name": "age", "holds": "int", "unit": None}])
    first.write("entity upsert", type="Patient", keys=keys, columns={"age": [1] * len(keys)})
    first.write("person add", name="Somebody else")
    assert picture(first.ground) != begun
    first.ground.close()
    second = kept.renew(tmp_path / "second")
    assert picture(second.ground) == begun
    with second.ground.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE meta ADD COLUMN more TEXT")
        connection.exec_driver_sql("DROP TABLE change_anchor")
    second.ground.close()
    third = kept.renew(tmp_path / "third")
    assert picture(third.ground)[0] == shape
    third.ground.close()
