"""Finding executions quickly, by filter and by order, whatever the filter keeps.

No one plan is quick for all filters: walking the executions in order and testing each is quick when most of them pass
and slow when few do; starting from the rows that meet the rarest condition is the reverse. So the hits of each
condition are counted first, up to `FEW`; if one has no more than that, the search starts from it.
An order by a metric or parameter shows only executions that have it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.errors import InvalidInput
from commonground.identity import Rid, read_rid
from commonground.store.view import View
from commonground.structure import tables
from commonground.structure.execution_filters import Condition, Order, Value
from commonground.structure.names import name_key
from commonground.structure.parameters import store_form
from commonground.structure.tables import execution, metric_last, param

FEW = 3_000
_DIGITS_OF_63_BITS = 19
_COLUMNS = {"metrics": "value", "lowest": "lowest", "highest": "highest"}


@dataclass(frozen=True, slots=True)
class _Test:
    """A condition as SQL: on a column of the execution, or on a row of another table that belongs to it."""

    on: sa.ColumnElement[bool]
    table: sa.Table | None = None

    def among(self) -> sa.ColumnElement[bool]:
        """The condition that an execution is one of those that meet it: to start from."""
        if self.table is None:
            return self.on
        return execution.c.rid.in_(sa.select(self.table.c.execution).where(self.on).correlate(None))

    def each(self) -> sa.ColumnElement[bool]:
        """The condition on one execution at a time."""
        if self.table is None:
            return self.on
        own = sa.select(sa.literal(1)).where(self.table.c.execution == execution.c.rid, self.on)
        return own.correlate(execution).exists()

    def few(self, view: View) -> bool:
        """Whether no more than FEW rows meet it."""
        if self.table is None:
            inner = sa.select(sa.literal(1)).where(view.visible(execution), self.on)
        else:
            inner = sa.select(sa.literal(1)).where(self.on)
        counted = view.connection.execute(
            sa.select(sa.func.count()).select_from(inner.limit(FEW + 1).subquery())
        ).scalar_one()
        return int(counted) <= FEW


def find(view: View, conditions: Sequence[Condition], order: Order, *, limit: int, offset: int = 0) -> list[Rid]:
    """The rids of executions that meet all conditions, in this order."""
    tests = _joined([(condition, _test(view, condition)) for condition in conditions])
    rare = next((test for test in tests if (test.table is not None or _is_indexed(test)) and test.few(view)), None)
    wheres = [test.each() for test in tests if test is not rare]
    if rare is not None:
        wheres.append(rare.among())
    statement = sa.select(execution.c.rid).where(view.visible(execution), *wheres)
    statement = _ordered(statement, order)
    return [row.rid for row in view.rows(statement.limit(limit).offset(offset))]


def _joined(tested: Sequence[tuple[Condition, _Test]]) -> list[_Test]:
    """One test for all conditions on one metric or parameter: a range that is empty is then seen to be so."""
    joined: dict[tuple[str, str, int], _Test] = {}
    for place, (condition, test) in enumerate(tested):
        group = (condition.field, condition.key, 0 if test.table is not None else place)
        known = joined.get(group)
        joined[group] = test if known is None else _Test(sa.and_(known.on, test.on), test.table)
    return list(joined.values())


def _ordered(statement: sa.Select[Any], order: Order) -> sa.Select[Any]:
    if order.field == "started":
        # A rid begins with the time at which it was made, which is when the execution started.
        return statement.order_by(execution.c.rid.desc() if order.descending else execution.c.rid.asc())
    # Under names of their own, so that conditions on the same tables are not taken for conditions on these.
    table = (param if order.field == "params" else metric_last).alias("ordering")
    own = sa.and_(table.c.execution == execution.c.rid, table.c.key == order.key)
    if order.field == "params":
        number, text = table.c.num, table.c.txt
        joined = statement.join(table, own)
        if order.descending:
            return joined.order_by(number.desc().nulls_last(), text.desc(), execution.c.rid.desc())
        return joined.order_by(number.asc().nulls_last(), text.asc(), execution.c.rid.desc())
    value = table.c[_COLUMNS[order.field]]
    joined = statement.join(table, sa.and_(own, value.is_not(None)))
    if order.descending:
        return joined.order_by(value.desc(), table.c.execution.desc())
    return joined.order_by(value.asc(), table.c.execution.asc())


def _test(view: View, condition: Condition) -> _Test:
    field, operator, value = condition.field, condition.operator, condition.value
    if field in _COLUMNS:
        column = metric_last.c[_COLUMNS[field]]
        own = metric_last.c.key == condition.key
        if isinstance(value, float) and math.isnan(value):
            flagged = metric_last.c.flag == 1 if operator == "=" else metric_last.c.flag.is_distinct_from(1)
            return _Test(sa.and_(own, flagged), metric_last)
        return _Test(sa.and_(own, _compare(column, operator, value)), metric_last)
    if field == "params":
        return _Test(sa.and_(param.c.key == condition.key, _compare_param(operator, value)), param)
    if field == "started":
        return _Test(_compare(execution.c.started_at, operator, value))
    if field == "scratch":
        return _Test(_compare(execution.c.scratch, operator, int(bool(value))))
    if field == "parent":
        return _Test(_compare(execution.c.parent, operator, _rid(str(value))))
    if field in {"person", "workflow"}:
        named = _named(view, tables.person if field == "person" else tables.workflow, operator, str(value))
        column = execution.c[field]
        return _Test(column.not_in(named) if operator == "!=" else column.in_(named))
    return _Test(_compare(execution.c[field], operator, str(value)))


def _compare_param(operator: str, value: Value) -> sa.ColumnElement[bool]:
    if value is None:
        return param.c.kind == "none" if operator == "=" else param.c.kind != "none"
    if operator == "~":
        return _compare(param.c.txt, operator, value)
    if isinstance(value, bool):
        return sa.and_(_compare(param.c.num, operator, float(value)), param.c.kind == "bool")
    stored = store_form("", value)
    if isinstance(value, str):
        if operator == "!=":
            return sa.or_(param.c.txt.is_(None), param.c.txt != stored.txt)
        return _compare(param.c.txt, operator, stored.txt)
    if stored.num is None:
        return _compare(param.c.txt, operator, stored.txt)
    if operator == "!=":
        return sa.or_(param.c.num.is_(None), param.c.num != stored.num)
    if stored.txt is not None and operator == "=":
        return sa.and_(param.c.num == stored.num, param.c.txt == stored.txt)
    return _compare(param.c.num, operator, stored.num)


def _compare(column: sa.ColumnElement[Any], operator: str, value: object) -> sa.ColumnElement[bool]:
    match operator:
        case "=":
            return column == value
        case "!=":
            return column != value
        case "<":
            return column < value
        case "<=":
            return column <= value
        case ">":
            return column > value
        case ">=":
            return column >= value
        case _:
            return column.icontains(str(value), autoescape=True)


def _named(view: View, table: sa.Table, operator: str, name: str) -> list[Rid]:
    if table is tables.person and operator != "~":
        condition = table.c.name_key == name_key(name)
    else:
        condition = _compare(table.c.name, "~" if operator == "~" else "=", name)
    return [row.rid for row in view.list_rows(table, condition)]


def _rid(text: str) -> Rid:
    try:
        return read_rid(text)
    except InvalidInput:
        return int(text) if text.isdecimal() and len(text) <= _DIGITS_OF_63_BITS else -1


def _is_indexed(test: _Test) -> bool:
    """Whether the rows that meet a condition on the execution itself can be found without looking at all of them."""
    column = getattr(test.on, "left", None)
    operator = getattr(test.on, "operator", None)
    indexed = {"status", "person", "workflow", "parent"}
    return getattr(column, "name", None) in indexed and operator in {sa.sql.operators.eq, sa.sql.operators.in_op}
