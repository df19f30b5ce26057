"""Splits and subsamples: repeatable, of the right sizes, and never through a group."""

import contextlib
import hashlib
import math
import re
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.structure import partition
from commonground.structure.partition import split, subsample

SHARES = st.sampled_from(
    [
        {"train": 0.8, "test": 0.2},
        {"a": 0.5, "b": 0.5},
        {"train": 0.7, "val": 0.1, "test": 0.2},
        {"x": 1 / 3, "y": 1 / 3, "z": 1 / 3},
        {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4},
    ]
)
SEEDS = st.integers(-5, 2**64)
ENTITIES = st.lists(st.integers(1, 10**6), min_size=40, max_size=80, unique=True)


def shown(parts):
    """Parts as plain lists."""
    return {name: members.tolist() for name, members in parts.items()}


def in_order(entities, purpose, seed):
    """Entities ordered by SHA-256 as the module says, in plain Python."""

    def digest(entity):
        return hashlib.sha256(f"{purpose} {seed} group int{entity}".encode()).digest()

    return sorted(entities, key=digest)


# --- without groups and strata ------------------------------------------------------------------------------------


@given(ENTITIES, SHARES, SEEDS)
@settings(max_examples=40)
def test_a_split_cuts_the_order(entities, shares, seed):
    """The parts are the entities in the order of their digests, cut at the largest-remainder sizes, names ascending."""
    parts = shown(split(entities, shares, seed=seed))
    ordered = in_order(entities, "split1", seed)
    for name in sorted(shares):
        size = len(parts[name])
        assert parts[name] == sorted(ordered[:size])
        ordered = ordered[size:]
        assert abs(size - shares[name] * len(entities)) < 1
    assert ordered == []
    assert list(parts) == list(shares)


@pytest.mark.parametrize(
    ("number", "shares", "sizes"),
    [
        (10, {"train": 0.8, "test": 0.2}, {"train": 8, "test": 2}),
        (100, {"a": 0.29, "b": 0.71}, {"a": 29, "b": 71}),
        (7, {"a": 0.5, "b": 0.5}, {"a": 4, "b": 3}),
        (7, {"b": 0.5, "a": 0.5}, {"a": 4, "b": 3}),
        (10, {"x": 1 / 3, "y": 1 / 3, "z": 1 / 3}, {"x": 4, "y": 3, "z": 3}),
        (5, {"a": 0.3, "b": 0.7}, {"a": 1, "b": 4}),
        (15, {"a": 0.3, "b": 0.7}, {"a": 4, "b": 11}),
        (11, {"a": 0.15, "b": 0.25, "c": 0.6}, {"a": 2, "b": 3, "c": 6}),
        (2, {"a": 0.9, "b": 0.1}, None),
        (1, {"a": 0.5, "b": 0.5}, None),
    ],
)
def test_sizes_are_the_nearest_whole_numbers(number, shares, sizes):
    """Sizes follow the largest remainders; a tie goes to the larger share, then the earlier name; none may be empty."""
    if sizes is None:
        with pytest.raises(InvalidInput, match="leave a part empty: b"):
            split(range(number), shares, seed=1)
    else:
        parts = split(range(number), shares, seed=1)
        assert {name: len(members) for name, members in parts.items()} == sizes


def test_golden_split():
    """One split and one subsample written down once stay as they are on every machine."""
    parts = split(range(10), {"train": 0.6, "val": 0.2, "test": 0.2}, seed=42)
    assert shown(parts) == {"train": [1, 3, 4, 5, 6, 7], "val": [0, 9], "test": [2, 8]}
    assert subsample(range(10), seed=42, size=4).tolist() == [0, 1, 2, 3]
    grouped = split(range(8), {"a": 0.5, "b": 0.5}, seed=3, groups=list("aabbccdd"), strata=[1, 2] * 4)
    assert shown(grouped) == {"a": [0, 1, 6, 7], "b": [2, 3, 4, 5]}


@given(ENTITIES, SHARES, SEEDS, st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_sequences_change_nothing(entities, shares, seed, random):
    """Shuffled entities, shuffled shares and a numpy array in place of a list give the same parts."""
    expected = shown(split(entities, shares, seed=seed))
    shuffled, names = entities.copy(), list(shares)
    random.shuffle(shuffled)
    random.shuffle(names)
    turned = split(np.array(shuffled, np.int32), {name: shares[name] for name in names}, seed=seed)
    assert shown(turned) == expected
    assert all(members.dtype == np.int64 for members in turned.values())


def test_seeds_give_different_splits():
    """Another seed gives another split, of the same sizes; a subsample is ordered by a rule of its own."""
    shares = {"a": 0.5, "b": 0.5}
    found = {tuple(shown(split(range(40), shares, seed=seed))["a"]) for seed in range(50)}
    assert len(found) == 50
    assert tuple(subsample(range(40), seed=0, share=0.5).tolist()) not in found


@given(ENTITIES, SHARES, SEEDS, st.lists(st.integers(10**6 + 1, 10**7), min_size=1, max_size=5, unique=True))
@settings(max_examples=40)
def test_later_entities_only_push_others_over_a_cut(entities, shares, seed, later):
    """Adding entities keeps the others in their order: between the parts they only move past a cut, few of them."""
    before, after = split(entities, shares, seed=seed), split(entities + later, shares, seed=seed)
    names = sorted(shares)
    part_before = {entity: names.index(name) for name in names for entity in before[name].tolist()}
    part_after = {entity: names.index(name) for name in names for entity in after[name].tolist()}
    ordered = in_order(entities, "split1", seed)
    assert [part_after[entity] for entity in ordered] == sorted(part_after[entity] for entity in entities)
    moved = sum(part_before[entity] != part_after[entity] for entity in entities)
    assert moved <= (len(shares) - 1) * (len(later) + 1)


# --- strata -------------------------------------------------------------------------------------------------------


@given(ENTITIES, SHARES, SEEDS, st.data())
@settings(max_examples=40)
def test_strata_are_divided_to_within_one(entities, shares, seed, data):
    """Each stratum is divided to less than one entity from its share; the whole too, with two parts."""
    strata = data.draw(st.lists(st.sampled_from("abcde"), min_size=len(entities), max_size=len(entities)))
    stratum_of = dict(zip(entities, strata, strict=True))
    parts = shown(split(entities, shares, seed=seed, strata=strata))
    assert sorted(entity for members in parts.values() for entity in members) == sorted(entities)
    for name, members in parts.items():
        counts = Counter(stratum_of[entity] for entity in members)
        for stratum, number in Counter(strata).items():
            assert abs(counts[stratum] - number * shares[name]) < 1
        bound = 1 if len(shares) == 2 else 2
        assert abs(len(members) - len(entities) * shares[name]) < bound


@given(ENTITIES, SEEDS, st.data())
@settings(max_examples=40)
def test_each_stratum_is_cut_in_order(entities, seed, data):
    """Within a stratum the parts are runs of the order of the seed."""
    strata = data.draw(st.lists(st.integers(0, 2), min_size=len(entities), max_size=len(entities)))
    parts = shown(split(entities, {"a": 0.4, "b": 0.6}, seed=seed, strata=np.array(strata)))
    for stratum in set(strata):
        mine = [entity for entity, one in zip(entities, strata, strict=True) if one == stratum]
        ordered = in_order(mine, "split1", seed)
        here = [entity in parts["a"] for entity in ordered]
        assert here == sorted(here, reverse=True)


def test_whole_shares_are_kept_exactly():
    """Where a share of a stratum is a whole number, the part gets just that, whatever other strata left owing."""
    for seed in range(40):
        with contextlib.suppress(InvalidInput):
            parts = split(range(6), {"a": 0.3, "b": 0.2, "c": 0.5}, seed=seed, strata=list("cbdbda"))
            c = set(parts["c"].tolist())
            assert (len(c & {1, 3}), len(c & {2, 4})) == (1, 1)


def test_rare_strata_are_shared_out():
    """Strata of one entity do not all fall to the larger part: the whole is divided as well as it can be."""
    strata = [f"rare {place}" for place in range(20)]
    found = set()
    for seed in range(10):
        parts = split(range(20), {"train": 0.8, "test": 0.2}, seed=seed, strata=strata)
        assert {name: len(members) for name, members in parts.items()} == {"train": 16, "test": 4}
        found.add(tuple(parts["test"].tolist()))
    assert len(found) == 10


@given(st.integers(1, 6), SEEDS)
@settings(max_examples=40)
def test_one_stratum_is_as_none(width, seed):
    """If all entities lie in one stratum, or each is a group of its own, the split is the plain one."""
    entities = range(width * 10)
    shares = {"a": 0.25, "b": 0.75}
    plain = shown(split(entities, shares, seed=seed))
    assert shown(split(entities, shares, seed=seed, strata=["same"] * len(entities))) == plain
    assert shown(split(entities, shares, seed=seed, groups=list(entities))) == plain


# --- groups -------------------------------------------------------------------------------------------------------


@st.composite
def grouped(draw):
    """Entities in groups of one to five, each entity in one of three strata."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=20, max_size=40))
    groups = [f"patient {place}" for place, size in enumerate(sizes) for _ in range(size)]
    strata = draw(st.lists(st.sampled_from(["x", "y", "z"]), min_size=len(groups), max_size=len(groups)))
    return groups, strata


@given(grouped(), SHARES, SEEDS, st.booleans())
@settings(max_examples=60)
def test_no_group_is_divided(content, shares, seed, stratified):
    """Every group lies in one part, every entity in exactly one, and sizes are within half the largest group."""
    groups, strata = content
    parts = shown(split(range(len(groups)), shares, seed=seed, groups=groups, strata=strata if stratified else None))
    assert sorted(entity for members in parts.values() for entity in members) == list(range(len(groups)))
    homes = {(groups[entity], name) for name, members in parts.items() for entity in members}
    assert len(homes) == len(set(groups))
    for name, members in parts.items():
        assert abs(len(members) - shares[name] * len(groups)) <= 5


def imbalance(parts, shares, strata):
    """The sum of squared deviations over the wanted numbers, for each stratum and for the whole."""
    total = 0.0
    for stratum in {*strata, None}:
        mine = {place for place, one in enumerate(strata) if stratum in {one, None}}
        for name, members in parts.items():
            wanted = len(mine) * shares[name]
            total += (len(mine & set(members)) - wanted) ** 2 / wanted
    return total


def arrangements(parts, groups):
    """Every way of moving one group, or of exchanging two, that leaves no part empty."""
    members = {group: {place for place, one in enumerate(groups) if one == group} for group in set(groups)}
    home = {group: name for group in members for name in parts if members[group] & parts[name]}
    for group, source in home.items():
        for target in parts:
            if target != source and parts[source] != members[group]:
                yield parts | {source: parts[source] - members[group], target: parts[target] | members[group]}
        for other, target in home.items():
            if target != source:
                here = (parts[source] - members[group]) | members[other]
                yield parts | {source: here, target: (parts[target] - members[other]) | members[group]}


@given(grouped(), SHARES, SEEDS)
@settings(max_examples=60)
def test_no_single_move_or_exchange_would_balance_better(content, shares, seed):
    """Unless every number is within one of its share, moving a group or exchanging two does not help."""
    groups, strata = content
    found = split(range(len(groups)), shares, seed=seed, groups=groups, strata=strata)
    parts = {name: set(members.tolist()) for name, members in found.items()}
    worst = 0.0
    for stratum in {*strata, None}:
        mine = {place for place, one in enumerate(strata) if stratum in {one, None}}
        worst = max(worst, *(abs(len(mine & parts[name]) - len(mine) * shares[name]) for name in shares))
    if worst >= 1:
        now = imbalance(parts, shares, strata)
        assert all(imbalance(one, shares, strata) > now - 1e-6 for one in arrangements(parts, groups))


def digest_of(words):
    """The SHA-256 by which groups and strata are ordered."""
    return hashlib.sha256(words.encode()).digest()


def model_cuts(groups, strata, shares, seed):
    """The part of each group before any balancing, step by step from the module's description."""
    names = sorted(shares)
    exact = [Fraction(repr(shares[name])) for name in names]
    exact = [one / sum(exact) for one in exact]
    content = {}
    for group, stratum in zip(groups, strata, strict=True):
        content.setdefault(group, Counter())[stratum] += 1
    order = sorted(set(strata), key=lambda stratum: digest_of(f"split1 {seed} stratum str{stratum}"))
    home = {group: min(mine, key=lambda one: (-mine[one], order.index(one))) for group, mine in content.items()}
    part, owed = {}, [Fraction(0)] * len(names)
    for stratum in order:
        members = [group for group in content if home[group] == stratum]
        members.sort(key=lambda group: digest_of(f"split1 {seed} group str{group}"))
        total = sum(content[group].total() for group in members)
        quotas = [math.floor(total * share) for share in exact]
        owed = [debt + total * share - quota for debt, share, quota in zip(owed, exact, quotas, strict=True)]
        open_parts = [place for place in range(len(names)) if total * exact[place] != quotas[place]]
        for _ in range(total - sum(quotas)):
            best = max(open_parts, key=lambda place: (owed[place], exact[place], -place))
            open_parts.remove(best)
            quotas[best] += 1
            owed[best] -= 1
        filled = 0
        for group in members:
            middle = filled + Fraction(content[group].total(), 2)
            part[group] = next(
                (names[place] for place in range(len(names) - 1) if middle < sum(quotas[: place + 1])), names[-1]
            )
            filled += content[group].total()
    return part


@given(grouped(), SHARES, SEEDS)
@settings(max_examples=60)
def test_the_cuts_fall_between_groups(content, shares, seed):
    """Before anything moves, each stratum's groups are cut in order, a group going where its middle lies."""
    groups, strata = content
    passes = partition.MOST_PASSES
    try:
        partition.MOST_PASSES = 0
        with contextlib.suppress(InvalidInput):
            parts = split(range(len(groups)), shares, seed=seed, groups=groups, strata=strata)
            found = {groups[entity]: name for name, members in parts.items() for entity in members.tolist()}
            assert found == model_cuts(groups, strata, shares, seed)
    finally:
        partition.MOST_PASSES = passes


def test_numbers_within_one_are_left_as_they_are(monkeypatch):
    """If the cuts bring every number within one entity of its share, no move is even weighed."""

    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(partition._Balance, "_loss", refuse)
    groups = [place // 2 for place in range(20)]
    parts = shown(split(range(20), {"a": 0.5, "b": 0.5}, seed=9, groups=groups))
    ordered = in_order(range(10), "split1", 9)
    assert parts["a"] == sorted(entity for group in ordered[:5] for entity in (2 * group, 2 * group + 1))


@pytest.mark.parametrize(("limit", "least", "most"), [(-1, 0, 0), (40, 41, 50), (10**6, 90, 100)])
def test_exchanges_are_weighed_within_reach_and_to_a_limit(monkeypatch, limit, least, most):
    """Only groups near each other in the order change places, and beyond the limit no more pairs are weighed."""
    weighed = []
    difference = partition._Balance._difference
    monkeypatch.setattr(partition, "REACH", 7)
    monkeypatch.setattr(partition, "MOST_EXCHANGES", limit)
    monkeypatch.setattr(
        partition._Balance, "_difference", lambda self, *pair: weighed.append(pair) or difference(self, *pair)
    )
    groups = [place // 2 for place in range(400)]
    strata = [str(place * place % 101 % 3) for place in range(400)]
    parts = split(range(400), {"a": 0.7, "b": 0.3}, seed=5, groups=groups, strata=strata)
    assert least <= len(weighed) <= most
    assert {other - group for group, other in weighed} <= set(range(1, 8))
    if most == 100:
        assert {other - group for group, other in weighed} == set(range(1, 8))
        counts = Counter(strata[entity] for entity in parts["b"].tolist())
        assert all(abs(counts[stratum] - 0.3 * number) < 1 for stratum, number in Counter(strata).items())


@pytest.mark.parametrize("seed", range(5))
def test_cuts_that_miss_are_mended(seed):
    """Groups of very unequal size are moved until the sizes are as good as whole groups allow."""
    sizes = [30, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    groups = [place for place, size in enumerate(sizes) for _ in range(size)]
    parts = split(range(40), {"a": 0.25, "b": 0.75}, seed=seed, groups=groups)
    assert {name: len(members) for name, members in parts.items()} == {"a": 10, "b": 30}


@pytest.mark.parametrize("seed", range(5))
def test_strata_inside_groups_are_balanced(seed):
    """Groups of different mixtures are moved until both strata and the whole have their shares."""
    groups, strata = [], []
    for group in range(60):
        positive = group % 4
        groups += [group] * 4
        strata += ["positive"] * positive + ["negative"] * (4 - positive)
    shares = {"train": 0.7, "val": 0.1, "test": 0.2}
    parts = split(range(240), shares, seed=seed, groups=groups, strata=strata)
    for name, share in shares.items():
        positives = sum(strata[entity] == "positive" for entity in parts[name])
        assert abs(len(parts[name]) - 240 * share) <= 2
        assert abs(positives - 90 * share) <= 2


def test_a_part_keeps_its_last_group():
    """A group too large for its part is exchanged for a smaller one, but never leaves the part empty."""
    shares = {"a": 0.45, "b": 0.1, "c": 0.45}
    found = []
    for seed in range(30):
        with contextlib.suppress(InvalidInput):
            parts = split(range(100), shares, seed=seed, groups=[0] * 30 + [1] * 40 + [2] * 30)
            found.append({name: len(members) for name, members in parts.items()})
    assert found
    assert all(sizes["b"] == 30 for sizes in found)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([1, 20, 2, 1], {"a": 20, "b": 2, "c": 1, "d": 1}), ([40, 3, 5, 1, 5], {"a": 40, "b": 6, "c": 5, "d": 3})],
)
def test_few_groups_fill_all_parts(sizes, expected):
    """With hardly more groups than parts, moving and exchanging still leaves a group in each."""
    groups = [place for place, size in enumerate(sizes) for _ in range(size)]
    shares = {"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1}
    parts = split(range(len(groups)), shares, seed=17, groups=groups)
    assert {name: len(members) for name, members in parts.items()} == expected


@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_balanced(seed):
    """Groups of one size, such as the two eyes of a patient, change places until both strata have their shares."""
    groups = [place // 2 for place in range(400)]
    strata = [(place * 7 % 10 < 3) == (place % 4 < 2) for place in range(400)]
    parts = split(range(400), {"train": 0.8, "test": 0.2}, seed=seed, groups=groups, strata=strata)
    assert len(parts["test"]) == 80
    assert abs(sum(strata[entity] for entity in parts["test"]) - sum(strata) * 0.2) <= 1


@given(grouped(), SEEDS)
@settings(max_examples=40)
def test_labels_may_be_of_any_plain_kind(content, seed):
    """Groups named by text, integers or an array of either divide alike if their keys are alike."""
    groups, strata = content
    shares = {"a": 0.5, "b": 0.5}
    expected = shown(split(range(len(groups)), shares, seed=seed, groups=groups, strata=strata))
    arrays = {"groups": np.array(groups), "strata": np.array(strata, object)}
    assert shown(split(range(len(groups)), shares, seed=seed, **arrays)) == expected
    numbers = [int(group.split()[1]) for group in groups]
    by_list = shown(split(range(len(groups)), shares, seed=seed, groups=numbers))
    assert by_list == shown(split(range(len(groups)), shares, seed=seed, groups=np.array(numbers, np.int16)))
    assert by_list == shown(split(range(len(groups)), shares, seed=seed, groups=[np.int64(one) for one in numbers]))


def test_half_letters_are_labels_like_others():
    """Text that no database keeps may still be a label here: it is divided, not refused."""
    parts = split(range(4), {"a": 0.5, "b": 0.5}, seed=1, groups=["\ud800", "\ud800", "x", "x"])
    assert {len(members) for members in parts.values()} == {2}


def test_labels_of_different_kinds_are_different():
    """The integer 1, the text 1, the real 1.0 and True are four groups."""
    groups = [1, "1", 1.0, True]
    found = set()
    for seed in range(40):
        found |= {
            tuple(members)
            for members in shown(split(range(4), {"a": 0.5, "b": 0.5}, seed=seed, groups=groups)).values()
        }
    assert len(found) == 6


# --- subsamples ---------------------------------------------------------------------------------------------------


@given(ENTITIES, SEEDS, st.data())
@settings(max_examples=40)
def test_a_subsample_is_the_head_of_the_order(entities, seed, data):
    """A subsample has exactly its size, and smaller ones lie within larger ones."""
    size = data.draw(st.integers(1, len(entities)))
    found = subsample(entities, seed=seed, size=size)
    assert found.tolist() == sorted(in_order(entities, "subsample1", seed)[:size])
    assert found.dtype == np.int64


@pytest.mark.parametrize(("share", "size"), [(0.25, 5), (0.26, 5), (0.29, 6), (1, 20), (1.0, 20), (0.026, 1)])
def test_a_share_is_rounded_to_the_nearest_size(share, size):
    """A share takes the nearest whole number of entities, all of them at 1."""
    assert len(subsample(range(20), seed=1, share=share)) == size
    if share == 1:
        assert subsample(range(20), seed=1, share=share, groups=[0] * 20).tolist() == list(range(20))
        assert subsample(range(19, -1, -1), seed=1, size=20, groups=[0] * 20).tolist() == list(range(20))


@given(ENTITIES, SEEDS, st.data())
@settings(max_examples=40)
def test_a_stratified_subsample_has_its_size_and_its_strata(entities, seed, data):
    """With strata the size is exact, and each stratum is within one of its share."""
    strata = data.draw(st.lists(st.sampled_from("abc"), min_size=len(entities), max_size=len(entities)))
    size = data.draw(st.integers(1, len(entities)))
    found = subsample(entities, seed=seed, size=size, strata=strata).tolist()
    assert len(found) == size
    stratum_of = dict(zip(entities, strata, strict=True))
    for stratum, number in Counter(strata).items():
        mine = sum(stratum_of[entity] == stratum for entity in found)
        assert abs(mine - Fraction(number * size, len(entities))) < 1


@given(grouped(), SEEDS)
@settings(max_examples=40)
def test_a_subsample_takes_whole_groups(content, seed):
    """With groups none is divided, and the size is within half the largest group."""
    groups, _ = content
    found = subsample(range(len(groups)), seed=seed, size=len(groups) // 2, groups=groups).tolist()
    inside = {groups[entity] for entity in found}
    assert found == [entity for entity in range(len(groups)) if groups[entity] in inside]
    assert abs(len(found) - len(groups) // 2) <= 3


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({}, "give either a size or a share"),
        ({"size": 3, "share": 0.5}, "give either a size or a share"),
        ({"size": 0}, "the size lies between 1 and 5, not at 0"),
        ({"size": 6}, "the size lies between 1 and 5, not at 6"),
        ({"share": 0}, "the share lies above 0 and not above 1, not at 0"),
        ({"share": 1.1}, "the share lies above 0 and not above 1, not at 1.1"),
        ({"share": math.nan}, "the share lies above 0 and not above 1, not at nan"),
    ],
)
def test_impossible_subsamples_are_refused(options, fault):
    """Both or none of size and share, and what lies outside the entities, are refused."""
    with pytest.raises(InvalidInput, match=r"^These entities cannot be divided like this\.") as caught:
        subsample(range(5), seed=1, **options)
    assert caught.value.faults == (fault,)


def test_an_empty_subsample_is_refused():
    """A share so small that nothing is left is refused."""
    with pytest.raises(InvalidInput, match=r"^The subsample would be empty\.") as caught:
        subsample(range(5), seed=1, share=0.01)
    assert caught.value.todo == "Ask for more."


@pytest.mark.parametrize(
    ("shares", "faults"),
    [
        ({}, ["a split has two parts or more", "the shares sum to 0, not to 1"]),
        ({"a": 1.0}, ["a split has two parts or more"]),
        ({"a": 0.5, "": 0.5}, ["a part has no name"]),
        ({"a": 1.0, "b": 0.0, "c": 0}, ["the share of b, c is not above 0"]),
        ({"a": 1.5, "b": -0.5}, ["the share of b is not above 0"]),
        ({"a": 0.5, "b": math.nan}, ["the share of b is not above 0"]),
        ({"a": 0.5, "b": 0.4}, ["the shares sum to 0.9, not to 1"]),
        ({"a": 0.5, "b": math.inf}, ["the shares sum to inf, not to 1"]),
        ({"a": 0.5, "b": 0.5 + 2e-9}, ["the shares sum to 1.000000002, not to 1"]),
    ],
)
def test_impossible_shares_are_refused(shares, faults):
    """Shares are positive, named, two or more, and sum to 1."""
    with pytest.raises(InvalidInput) as caught:
        split(range(10), shares, seed=1)
    assert list(caught.value.faults) == faults


def test_shares_that_miss_one_by_rounding_are_taken():
    """Shares within a billionth of 1 are taken as if they summed to 1."""
    parts = split(range(10), {"a": 0.5, "b": 0.5 + 9e-10}, seed=1)
    assert {name: len(members) for name, members in parts.items()} == {"a": 5, "b": 5}


def test_everything_wrong_is_said_at_once():
    """Repeated entities, short or missing labels and bad shares come in one error."""
    with pytest.raises(InvalidInput) as caught:
        split([1, 2, 1], {"a": 1.0}, seed=1, strata=["x"], groups=[None, 1, math.nan])
    assert caught.value.faults == (
        "a split has two parts or more",
        "an entity comes twice",
        "1 strata for 3 entities",
        "2 of the groups are missing or no text, number or boolean",
    )
    with pytest.raises(InvalidInput) as caught:
        split([], {"a": 0.5, "b": 0.5}, seed=1)
    assert caught.value.faults == ("there are no entities",)
    with pytest.raises(InvalidInput) as caught:
        split([1, 2], {"a": 0.5, "b": 0.5}, seed=1, strata=np.array([math.inf, 1.0]))
    assert caught.value.faults == ("1 of the strata are missing or no text, number or boolean",)


@pytest.mark.parametrize("entities", [["a", "b"], [1.0, 2.0], [[1, 2]], [True, False], np.zeros((0, 2), np.int64)])
def test_entities_are_ids(entities):
    """Names, reals, tables and booleans are no entities."""
    with pytest.raises(InvalidInput, match=r"^The entities are not given by their ids\.") as caught:
        split(entities, {"a": 0.5, "b": 0.5}, seed=1)
    assert caught.value.todo == "Give a list of integers."


def test_empty_parts_are_refused():
    """A part for which no group is left is named."""
    with pytest.raises(InvalidInput) as caught:
        split(range(6), {"a": 0.4, "b": 0.3, "c": 0.3}, seed=1, groups=[0, 0, 0, 1, 1, 1])
    assert re.fullmatch("6 entities in 2 groups leave a part empty: [abc][.]", caught.value.what)
    assert caught.value.todo == "Give it a larger share, or split more entities."
