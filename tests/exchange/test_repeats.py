"""Keys that occur twice."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from commonground.exchange.drafts import SHOWN, FaultList
from commonground.exchange.repeats import check_keys


def check(parts, page=3):
    """The faults of keys given row by row, read in pages."""

    def pages():
        for start in range(0, len(parts), page):
            keys = parts[start : start + page]
            rows = range(start + 1, start + 1 + len(keys))
            yield rows, [row + 1 for row in rows], list(zip(*keys, strict=True))

    faults = FaultList()
    check_keys(pages, [f"k{place}" for place in range(len(parts[0]))], faults)
    return faults


def test_each_repeat_names_the_first_row():
    """The second and third occurrence are faults; the first is not."""
    found = check([("a",), ("b",), ("a",), ("a",)]).listed()
    assert [(fault.row, fault.line, fault.what) for fault in found] == [
        (3, 4, "the key is already in row 1"),
        (4, 5, "the key is already in row 1"),
    ]


def test_a_missing_part_is_a_fault_of_its_column():
    """A key with a missing part is told by column, and is no repeat of another such key."""
    found = check([("a", None), ("a", None), (None, None)]).listed()
    assert [(fault.row, fault.column) for fault in found] == [(1, "k1"), (2, "k1"), (3, "k1"), (3, "k0")]


def test_parts_are_not_run_together():
    """Keys whose joined text is equal are different keys."""
    assert len(check([("a", "bc"), ("ab", "c"), ("a\x1fb", "c"), ("a", "b\x1fc"), (1, 23), (12, 3)])) == 0


def test_repeats_are_counted_beyond_those_listed():
    """A key that stands in every row gives a bounded list and the exact number."""
    faults = check([("a",)] * 1000, page=100)
    assert len(faults) == 999
    assert len(faults.listed()) == SHOWN + 1


@given(st.lists(st.tuples(st.integers(-3, 3), st.sampled_from("ab")), min_size=1, max_size=40))
def test_as_many_faults_as_keys_too_many(keys):
    """The count is the number of rows less the number of different keys, -1 and -2 included."""
    assert len(check(keys)) == sum(times - 1 for times in Counter(keys).values())
