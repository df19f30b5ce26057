"""Selecting: against a plain model, and fact by fact."""

import dataclasses
import statistics
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.identity import show_rid
from commonground.structure.selectors import (
    Values,
    Why,
    adjudicated,
    by_author,
    by_execution,
    majority,
    median,
    newest,
    select,
    standing,
)

FIELDS = ("entity", "value", "author", "slot", "execution", "at", "adjudicated", "order", "missing")


def table(*rows, dtype=np.int64):
    """Values from dictionaries; what a row does not say is entity 1, author 7, and its own place in order."""
    filled = [
        {"entity": 1, "value": 0, "author": 7, "slot": 0, "execution": 0, "at": 0, "adjudicated": False, "order": place,
         "missing": False} | row
        for place, row in enumerate(rows)
    ]  # fmt: skip
    dtypes = {"value": dtype, "adjudicated": np.bool_, "missing": np.bool_}
    columns = []
    for name in FIELDS:
        column = np.empty(len(filled), dtypes.get(name, np.int64))
        column[:] = [row[name] for row in filled]
        columns.append(column)
    return Values(*columns)


def shown(selected):
    """A selection as plain values: {entity: value}, {entity: used rows}, {why: entities}, rows not graded."""
    assert len(selected.offsets) == len(selected.entity) + 1
    assert [*selected.offsets[[0, -1]]] == [0, len(selected.used)]
    rows = [selected.used[a:b].tolist() for a, b in pairwise(selected.offsets)]
    return (
        dict(zip(selected.entity.tolist(), selected.value.tolist(), strict=True)),
        dict(zip(selected.entity.tolist(), rows, strict=True)),
        {why: entities.tolist() for why, entities in selected.dropped.items()},
        selected.not_graded.tolist(),
    )


# --- the plain model ----------------------------------------------------------------------------------------------


def model_standing(values, rows):
    """The rows not replaced by their reader, one by one."""
    last = {}
    for row in rows:
        slot, author, execution = values.slot[row], values.author[row], values.execution[row]
        reader = ("slot", slot) if slot else ("author", author) if author else ("execution", execution)
        key = (values.entity[row], *reader)
        if key not in last or newer(values, row, last[key]):
            last[key] = row
    return sorted(last.values())


def newer(values, row, other):
    """Whether a row is newer than another."""
    return (values.at[row], values.order[row]) > (values.at[other], values.order[other])


def model_pick(values, selector, rows):
    """The value of one entity from its graded rows, and the rows used; None for a tie."""
    latest = max(rows, key=lambda row: (values.at[row], values.order[row]))
    read = [values.value[row] for row in rows]
    if selector.rule == "majority":
        counts = Counter(read)
        top = [value for value, count in counts.items() if count == max(counts.values())]
        if len(top) > 1 and selector.ties == "drop":
            return None
        among = [row for row in rows if values.value[row] in top]
        return values.value[max(among, key=lambda row: (values.at[row], values.order[row]))], rows
    if selector.rule == "median":
        read.sort()
        low, high = read[(len(read) - 1) // 2], read[len(read) // 2]
        if low != high and selector.ties == "drop":
            return None
        return {"high": high, "mean": (low + high) / 2}.get(selector.ties, low), rows
    return values.value[latest], [latest]


def model(values, selector):
    """The whole selection, one entity at a time."""
    looked_at = {
        "by_author": lambda row: values.author[row] == selector.person and not values.slot[row],
        "by_execution": lambda row: values.execution[row] == selector.execution,
        "adjudicated": lambda row: values.adjudicated[row],
        "majority": lambda row: not values.adjudicated[row],
        "median": lambda row: not values.adjudicated[row],
    }.get(selector.rule, lambda _: True)
    picked, used, dropped, not_graded = {}, {}, {}, []
    for entity in sorted({int(one) for one in values.entity}):
        mine = [row for row in range(len(values.entity)) if values.entity[row] == entity]
        stood = model_standing(values, [row for row in mine if looked_at(row)])
        not_graded += [row for row in stood if values.missing[row]]
        rows = [row for row in stood if not values.missing[row]]
        if rows:
            found = model_pick(values, selector, rows)
            if found is None:
                dropped.setdefault(Why.TIED, []).append(entity)
            else:
                picked[entity] = found[0].item() if hasattr(found[0], "item") else found[0]
                used[entity] = sorted(found[1], key=lambda row: values.order[row])
        elif stood:
            dropped.setdefault(Why.NOT_GRADED, []).append(entity)
        elif selector.rule == "by_execution":
            dropped.setdefault(Why.NOT_BY_EXECUTION, []).append(entity)
        elif selector.rule == "by_author":
            hidden = any(values.slot[row] for row in mine)
            dropped.setdefault(Why.NOT_IDENTIFIABLE if hidden else Why.NOT_BY_PERSON, []).append(entity)
        elif selector.rule in {"majority", "median"}:
            dropped.setdefault(Why.NOT_READ, []).append(entity)
        elif selector.fallback is None:
            dropped.setdefault(Why.NOT_ADJUDICATED, []).append(entity)
        else:
            there = model(values.take(np.array(mine)), selector.fallback)
            picked |= there[0]
            used |= {one: [mine[row] for row in rows] for one, rows in there[1].items()}
            for why, entities in there[2].items():
                dropped.setdefault(why, []).extend(entities)
            not_graded += [mine[row] for row in there[3]]
    return picked, used, dropped, sorted(not_graded)


SMALL = st.integers(0, 2)
READERS = st.tuples(SMALL, SMALL, SMALL).filter(any)


@st.composite
def many_values(draw, kind=None):
    """Values of few entities, readers and moments, so that everything collides."""
    kind = kind or draw(st.sampled_from(["i8", "f8"]))
    rows = draw(
        st.lists(
            st.tuples(st.integers(1, 4), st.integers(0, 3), READERS, SMALL, st.booleans(), st.booleans()), max_size=14
        )
    )
    order = draw(st.permutations(range(len(rows))))
    filled = [
        {"entity": entity, "value": value, "author": reader[0], "slot": reader[1], "execution": reader[2], "at": at,
         "adjudicated": settled, "missing": missing, "order": place}
        for (entity, value, reader, at, settled, missing), place in zip(rows, order, strict=True)
    ]  # fmt: skip
    if kind == "f8":
        for row in filled:
            row["value"] = np.nan if row["missing"] else row["value"] / 2
    if kind == "O":
        for row in filled:
            row["value"] = None if row["missing"] else "abcd"[row["value"]]
    return table(*filled, dtype=np.dtype(kind))


SIMPLE = st.one_of(
    st.sampled_from([newest(), by_author(1), by_author(2), by_execution(1), majority(), majority("newest")]),
    st.builds(median, st.sampled_from(["drop", "low", "high", "mean"])),
)


@given(many_values(), SIMPLE | st.builds(adjudicated, st.none() | SIMPLE))
@settings(max_examples=400)
def test_selecting_is_what_the_plain_model_says(values, selector):
    """For every rule the vectorised selection equals the one-by-one model: values, rows used, dropped, not graded."""
    assert shown(select(values, selector)) == model(values, selector)


@given(many_values("O"), st.sampled_from([newest(), majority(), majority("newest"), adjudicated(by_author(1))]))
def test_text_is_selected_like_numbers(values, selector):
    """Values that are objects are selected by the same rules."""
    assert shown(select(values, selector)) == model(values, selector)


@given(many_values(), SIMPLE, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(values, selector, random):
    """Shuffled rows give the same values from the same rows."""
    shuffle = list(range(len(values.entity)))
    random.shuffle(shuffle)
    places = np.array(shuffle, dtype=np.intp)
    picked, used, dropped, not_graded = shown(select(values.take(places), selector))
    back = {entity: [shuffle[row] for row in rows] for entity, rows in used.items()}
    assert (picked, back, dropped, sorted(shuffle[row] for row in not_graded)) == shown(select(values, selector))


@given(many_values())
def test_standing_rows_are_one_a_reader(values):
    """Of each reader of an entity exactly the newest row stands, graded or not."""
    rows = range(len(values.entity))
    assert sorted(standing(values).tolist()) == model_standing(values, rows)
    some = np.arange(0, len(rows), 2)
    assert sorted(standing(values, some).tolist()) == model_standing(values, some.tolist())


@given(many_values(), SIMPLE | st.builds(adjudicated, st.none() | SIMPLE))
def test_every_entity_is_selected_or_dropped_once(values, selector):
    """No entity is forgotten and none appears twice; no empty reason is listed; entities ascend."""
    selected = select(values, selector)
    dropped = list(selected.dropped.values())
    assert all(len(entities) for entities in dropped)
    together = [*selected.entity.tolist(), *(int(one) for entities in dropped for one in entities)]
    assert sorted(together) == sorted(set(values.entity.tolist()))
    for entities in (selected.entity, *dropped):
        assert entities.tolist() == sorted(entities.tolist())


# --- fact by fact -------------------------------------------------------------------------------------------------


def test_the_newest_is_the_last_recorded_then_the_last_in_order():
    """The moment decides, and the place in order only among values of one moment."""
    values = table(
        {"value": 1, "at": 5, "order": 0},
        {"value": 2, "at": 5, "order": 9, "author": 8},
        {"value": 3, "at": 4, "order": 10},
    )
    assert shown(select(values, newest()))[:2] == ({1: 2}, {1: [1]})


def test_a_reader_counts_once():
    """A reader who says the same twice does not outvote another, and his newer word replaces his older one."""
    values = table({"value": 3}, {"value": 3}, {"value": 4, "author": 8}, {"value": 4, "author": 9}, {"value": 4})
    assert shown(select(values, majority()))[:2] == ({1: 4}, {1: [2, 3, 4]})


def test_slots_are_readers_of_one_entity():
    """Two slots of an entity are two readers although nobody is named; an author and a slot are never the same."""
    values = table(
        {"value": 1, "author": 0, "slot": 1}, {"value": 1, "author": 0, "slot": 2}, {"value": 2, "author": 1},
        {"value": 2, "author": 0, "execution": 1}, {"value": 2, "author": 0, "slot": 2},
    )  # fmt: skip
    assert shown(select(values, majority()))[:2] == ({1: 2}, {1: [0, 2, 3, 4]})


def test_a_slot_is_the_reader_even_if_somebody_entered_it():
    """Two slots typed in by one person are two readers, and neither is that person."""
    values = table({"value": 1, "slot": 1}, {"value": 2, "slot": 2}, {"value": 2})
    assert sorted(standing(values).tolist()) == [0, 1, 2]
    assert shown(select(values, by_author(7)))[:2] == ({1: 2}, {1: [2]})


def test_an_author_is_one_reader_across_executions():
    """A person's value imported again by another execution replaces the first import."""
    values = table({"value": 1, "execution": 5}, {"value": 2, "execution": 6})
    assert standing(values).tolist() == [1]
    assert shown(select(values, by_execution(5)))[:2] == ({1: 1}, {1: [0]})


def test_cannot_grade_replaces_but_does_not_count():
    """A reader who takes his value back leaves none; others decide; it is reported; alone it leaves the entity out."""
    values = table(
        {"value": 5}, {"missing": True}, {"value": 2, "author": 8},
        {"entity": 2, "missing": True}, {"entity": 3, "value": 4},
    )  # fmt: skip
    for selector in (newest(), majority(), median()):
        assert shown(select(values, selector)) == ({1: 2, 3: 4}, {1: [2], 3: [4]}, {Why.NOT_GRADED: [2]}, [1, 3])


def test_readers_without_a_name_are_not_identifiable():
    """By author, an entity read by slots only says that its readers cannot be identified; others lack the person."""
    values = table(
        {"entity": 1, "author": 0, "slot": 1},
        {"entity": 2, "author": 8},
        {"entity": 3, "missing": True},
        {"entity": 4},
    )
    picked, _, dropped, _ = shown(select(values, by_author(7)))
    assert picked == {4: 0}
    assert dropped == {Why.NOT_IDENTIFIABLE: [1], Why.NOT_BY_PERSON: [2], Why.NOT_GRADED: [3]}


def test_adjudication_outlasts_a_later_reading():
    """An adjudicated value stands although the same person read the entity again later."""
    values = table({"value": 3, "adjudicated": True}, {"value": 1}, {"value": 1, "author": 8})
    assert shown(select(values, adjudicated(majority())))[:2] == ({1: 3}, {1: [0]})
    assert shown(select(values, majority()))[0] == {1: 1}


def test_adjudicated_as_not_gradable_needs_no_fallback():
    """Where the panel said that it cannot be graded, the readers are not asked again."""
    values = table({"missing": True, "adjudicated": True}, {"value": 1, "author": 8})
    assert shown(select(values, adjudicated(newest()))) == ({}, {}, {Why.NOT_GRADED: [1]}, [0])


def test_a_fallback_adds_its_own_reasons():
    """Entities dropped by the rule and by its fallback for one reason are listed together."""
    values = table(
        {"entity": 2, "missing": True, "adjudicated": True}, {"entity": 1, "missing": True},
        {"entity": 3, "value": 1}, {"entity": 3, "value": 2, "author": 8}, {"entity": 4, "value": 9},
    )  # fmt: skip
    assert shown(select(values, adjudicated(median()))) == (
        {4: 9}, {4: [4]}, {Why.NOT_GRADED: [1, 2], Why.TIED: [3]}, [0, 1],
    )  # fmt: skip


@pytest.mark.parametrize(("ties", "expected"), [("low", 2), ("high", 3), ("mean", 2.5)])
def test_two_middle_values(ties, expected):
    """An even number of readers takes the lower, the higher or the mean of the two in the middle."""
    values = table(*({"value": value, "author": author} for author, value in enumerate([9, 2, 3, 0], start=1)))
    assert shown(select(values, median(ties)))[0] == {1: expected}
    assert shown(select(values, median()))[2] == {Why.TIED: [1]}


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=12))
def test_the_middle_of_any_number_of_readers(read):
    """Low, high and mean are the medians of the standard library, for odd and even numbers of readers."""
    values = table(*({"value": value, "author": author} for author, value in enumerate(read, start=1)))
    expected = {
        "low": statistics.median_low(read),
        "high": statistics.median_high(read),
        "mean": statistics.median(read),
    }
    for ties, value in expected.items():
        assert shown(select(values, median(ties)))[0] == {1: value}
    clear = expected["low"] == expected["high"]
    assert shown(select(values, median()))[0] == ({1: expected["low"]} if clear else {})


def test_the_type_of_values_is_kept():
    """Integers stay integers unless a mean is asked for; ids of 63 bits lose nothing."""
    values = table({"value": 2**62 + 1}, {"value": 2**62 + 1, "author": 8})
    for selector in (newest(), majority(), median(), median("low"), median("high"), adjudicated(newest())):
        selected = select(values, selector)
        assert selected.value.dtype == np.int64
        assert selected.value.tolist() == [2**62 + 1]
    assert select(values, median("mean")).value.dtype == np.float64


def test_ties_may_be_an_error():
    """With ties as an error the tied entities are named, ten at most; without a tie all is well."""
    tied = [{"entity": entity, "value": who, "author": who} for entity in range(1, 13) for who in (1, 2)]
    with pytest.raises(InvalidInput) as caught:
        select(table(*tied), majority("error"))
    assert caught.value.what == "12 entities have more than one most frequent value."
    assert caught.value.faults == (*(f"entity {show_rid(entity)}" for entity in range(1, 11)), "and 2 more")
    assert caught.value.todo == "Choose ties 'drop' or 'newest', or let the tied entities be adjudicated."
    with pytest.raises(InvalidInput) as caught:
        select(table(*tied[:20]), majority("error"))
    assert len(caught.value.faults) == 10
    assert shown(select(table(*tied[::2]), majority("error")))[0] == dict.fromkeys(range(1, 13), 1)


def test_a_tie_goes_to_the_newest_of_the_tied_values():
    """Among the most frequent values the one given last wins, even if a rarer one came later still."""
    values = table(*({"value": value, "author": author} for author, value in enumerate([1, 2, 2, 1, 3], start=1)))
    assert shown(select(values, majority("newest")))[:2] == ({1: 1}, {1: [0, 1, 2, 3, 4]})


@pytest.mark.parametrize("dtype", [object, np.bool_, "U1"])
def test_a_median_needs_an_order(dtype):
    """Text and booleans have no middle."""
    with pytest.raises(InvalidInput) as caught:
        select(table({"value": "1"}, dtype=np.dtype(dtype)), median())
    assert caught.value.what == "A median needs values with an order: positions on a scale or numbers."
    assert caught.value.todo == "Use majority, or give the positions of the terms on their scale."


def test_booleans_and_text_arrays_have_a_majority():
    """Booleans and numpy text are counted as they are."""
    for dtype, values in ((np.bool_, [True, False, True]), ("U1", ["a", "b", "a"])):
        rows = table(*({"value": value, "author": who} for who, value in enumerate(values, start=1)), dtype=dtype)
        assert shown(select(rows, majority()))[0] == {1: values[0]}


def test_values_that_cannot_be_compared_are_refused():
    """Objects such as lists are refused with what to give instead."""
    with pytest.raises(InvalidInput, match=r"^The values cannot be compared with each other\.") as caught:
        select(table({"value": [1]}, dtype=np.dtype(object)), majority())
    assert caught.value.todo == "Give text or numbers."


@pytest.mark.parametrize(
    "selector", [newest(), by_author(1), by_execution(1), majority(), median(), adjudicated(newest())]
)
def test_no_values_give_nothing(selector):
    """Nothing selected from nothing, with one offset."""
    selected = select(table(), selector)
    assert shown(selected) == ({}, {}, {}, [])
    assert selected.offsets.tolist() == [0]


def test_values_must_fit_together():
    """Columns of other lengths are refused by name."""
    arrays = [np.zeros(2, np.int64) for _ in FIELDS]
    arrays[FIELDS.index("author")] = np.ones(1, np.int64)
    arrays[FIELDS.index("missing")] = np.zeros(3, np.bool_)
    with pytest.raises(InvalidInput, match=r"^These values do not fit together\.") as caught:
        Values(*arrays)
    assert caught.value.faults == ("author has 1 rows, not 2", "missing has 3 rows, not 2")


def test_nameless_doubled_and_blank_values_are_refused():
    """A value by nobody, two values with one place in order, and a hidden NaN or None are refused together."""
    with pytest.raises(InvalidInput) as caught:
        table({"author": 0, "order": 3}, {"value": np.nan, "order": 3}, dtype=np.float64)
    assert caught.value.faults == (
        "a value has no author, no slot and no execution",
        "order does not tell every value from the others",
        "a value is NaN or None without being marked as missing",
    )
    for blank in (None, float("nan")):
        with pytest.raises(InvalidInput, match="NaN or None"):
            table({"value": blank}, dtype=np.dtype(object))
        assert len(table({"value": blank, "missing": True}, dtype=np.dtype(object)).entity) == 1


def test_reasons_are_sentences():
    """Each reason for leaving an entity out reads like this."""
    assert [str(why) for why in Why] == [
        "its readers are tied",
        "no reader could grade it",
        "it has no value by this person",
        "its readers cannot be identified",
        "it has no value made by this execution",
        "it was not adjudicated",
        "it has an adjudicated value and no reading",
    ]


def test_values_and_selections_do_not_change():
    """Neither what is selected from nor what was selected can be swapped afterwards."""
    values = table({"value": 1})
    selected = select(values, newest())
    for one in (values, selected):
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.entity = np.zeros(1, np.int64)
    assert values != table({"value": 1})


@pytest.mark.parametrize("who", ["author", "slot", "execution"])
def test_one_kind_of_reader_is_enough(who):
    """A value needs an author, a slot or an execution, and any one of them does."""
    rows = table({"author": 0, who: 5, "value": 3})
    assert shown(select(rows, newest()))[0] == {1: 3}
