"""Seeded splits and subsamples that anybody can repeat: the same on every machine, with no random generator.

Entities are put in order by SHA-256 of the seed and the key of their group (or of themselves), and the order is cut:
the digest is of "split1 SEED group KEY" (or "subsample1", or "stratum"), the key being the Python type of the label and
what it prints, such as int5 for the number 5 and str5 for the text.

- Entities of one group never part. A group lies with the stratum that most of its entities have.
- Without groups every stratum is divided to within one entity of its share, and so is the whole with two parts.
- With groups the cuts fall between groups; then single groups move, and neighbours in the order change places, if that
  brings the numbers of each stratum and of the whole nearer to their shares (the sum of squared deviations over the
  wanted numbers falls), until each number is within one entity of its share or nothing helps.
- The order hangs on the seed and the keys alone. Entities that are added later leave the order of the others as it is:
  only those beside a cut can change their part. That holds within each stratum, but for one entity by rounding. With
  groups it holds for the order and the first cuts; the moves afterwards can take further groups along.
- The sequence of the input, and of the parts in `shares`, changes nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import numpy as np
import numpy.typing as npt

from commonground.errors import InvalidInput

IntArray = npt.NDArray[np.int64]
Labels = Sequence[object] | npt.NDArray[np.generic]

TOLERANCE = 1e-9
FEWEST_PARTS = 2
MOST_PASSES = 10
MOST_EXCHANGES = 200_000
"""Exchanges of two groups that are tried before what is reached must do."""
REACH = 50
"""How far apart in the order two groups may be to change places."""


def split(
    entities: Sequence[int] | IntArray,
    shares: Mapping[str, float],
    *,
    seed: int,
    strata: Labels | None = None,
    groups: Labels | None = None,
) -> dict[str, IntArray]:
    """Divides entities into named parts; each part's entities ascend.

    `strata` and `groups` hold a label for each entity: text, an integer, a real or a boolean. Raises InvalidInput for
    an entity that comes twice, a missing label, shares that are not positive or do not sum to 1, and for a part that
    would be empty.
    """
    faults = _share_faults(shares)
    units = _units(entities, strata, groups, purpose=f"split1 {seed}", faults=faults)
    names = sorted(shares)
    exact = [Fraction(repr(float(shares[name]))) for name in names]
    part = _parts(units, [share / sum(exact) for share in exact])
    parts = {name: np.sort(units.entities[part == names.index(name)]) for name in shares}
    empty = [name for name, members in parts.items() if not len(members)]
    if empty:
        raise InvalidInput(
            f"{len(units.entities)} entities in {len(units.sizes)} groups leave a part empty: {', '.join(empty)}.",
            todo="Give it a larger share, or split more entities.",
        )
    return parts


def subsample(
    entities: Sequence[int] | IntArray,
    *,
    seed: int,
    size: int | None = None,
    share: float | None = None,
    strata: Labels | None = None,
    groups: Labels | None = None,
) -> IntArray:
    """A part of the entities, ascending: `size` of them, or a `share` of them.

    Without groups exactly `size`; with groups as near as whole groups come. Without groups and strata a smaller
    subsample of one seed lies within every larger one. Raises InvalidInput for both or none of `size` and `share`, for
    more than there are, for a subsample that would be empty, and as `split` does.
    """
    faults = []
    if (size is None) == (share is None):
        faults.append("give either a size or a share")
    elif size is not None and not 1 <= size <= len(entities):
        faults.append(f"the size lies between 1 and {len(entities)}, not at {size}")
    elif share is not None and not 0 < share <= 1:
        faults.append(f"the share lies above 0 and not above 1, not at {share}")
    units = _units(entities, strata, groups, purpose=f"subsample1 {seed}", faults=faults)
    kept = Fraction(size, len(entities)) if size is not None else Fraction(repr(float(cast("float", share))))
    chosen = np.sort(units.entities[_parts(units, [kept, 1 - kept]) == 0])
    if not len(chosen):
        raise InvalidInput("The subsample would be empty.", todo="Ask for more.")
    return chosen


@dataclass(frozen=True, slots=True)
class _Units:
    """What cannot be divided: groups of entities, in the order of the seed."""

    entities: IntArray
    group: IntArray  # of each entity: the place of its group in the order
    stratum: IntArray  # of each entity: the place of its stratum in the order
    sizes: IntArray  # of each group: its number of entities
    home: IntArray  # of each group: the stratum of most of its entities


def _units(
    entities: Sequence[int] | IntArray,
    strata: Labels | None,
    groups: Labels | None,
    *,
    purpose: str,
    faults: list[str],
) -> _Units:
    """Checks everything that was given, the faults found before included, and brings it in order."""
    given = np.asarray(entities)
    if given.ndim != 1 or (given.dtype.kind not in "iu" and len(given)):
        raise InvalidInput("The entities are not given by their ids.", todo="Give a list of integers.")
    if not len(given):
        faults.append("there are no entities")
    elif not np.diff(np.sort(given)).all():
        faults.append("an entity comes twice")
    coded = {}
    for what, labels in (("strata", strata), ("groups", groups)):
        if labels is not None and len(labels) != len(given):
            faults.append(f"{len(labels)} {what} for {len(given)} entities")
        elif labels is not None:
            code, keys = coded[what] = _coded(labels)
            if b"" in keys:
                missing = np.count_nonzero(code == keys.index(b""))
                faults.append(f"{missing} of the {what} are missing or no text, number or boolean")
    if faults:
        raise InvalidInput("These entities cannot be divided like this.", faults=faults, todo="Correct what was asked.")
    group = _in_order(*coded.get("groups", _coded(given)), f"{purpose} group ")
    stratum = _in_order(*coded.get("strata", (np.zeros(len(given), np.int64), [b""])), f"{purpose} stratum ")
    # of each group the most frequent stratum, the earlier one if two are as frequent
    width = int(stratum.max()) + 1
    cells, times = np.unique(group * width + stratum, return_counts=True)
    owner, place = cells // width, cells % width
    turn = np.lexsort((place, -times, owner))
    home = place[turn][np.diff(owner[turn], prepend=-1) > 0]
    return _Units(given.astype(np.int64), group, stratum, np.bincount(group), home)


def _coded(labels: Labels) -> tuple[IntArray, list[bytes]]:
    """A number for each label, equal for equal labels, and the key that each number stands for."""
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iu":
        distinct, code = np.unique(labels, return_inverse=True)
        return code, [_key(label) for label in distinct.tolist()]
    place_of: dict[bytes, int] = {}
    plain = labels.tolist() if isinstance(labels, np.ndarray) else labels
    numbers = [place_of.setdefault(_key(label), len(place_of)) for label in cast("Sequence[object]", plain)]
    return np.array(numbers, np.int64), list(place_of)


def _in_order(code: IntArray, keys: Sequence[bytes], prefix: str) -> IntArray:
    """For each code its place among the keys, ordered by SHA-256 of the prefix and the key."""
    start, sha256 = prefix.encode(), hashlib.sha256
    digests = b"".join([sha256(start + key).digest() for key in keys])
    words = np.frombuffer(digests, ">u8").reshape(len(keys), -1)
    rank = np.empty(len(keys), np.int64)
    rank[np.lexsort(words.T[::-1])] = np.arange(len(keys))
    return rank[code]


def _parts(units: _Units, shares: Sequence[Fraction]) -> IntArray:
    """The part of each entity: every stratum's groups in order, cut where its quotas are full."""
    part = np.zeros(len(units.sizes), np.int64)
    owed = [Fraction(0)] * len(shares)
    ordered = np.argsort(units.home, kind="stable")
    for members in np.split(ordered, np.flatnonzero(np.diff(units.home[ordered])) + 1):
        sizes = units.sizes[members]
        filled = np.cumsum(sizes)
        quotas, owed = _quotas(int(filled[-1]), shares, owed)
        middle = filled - sizes / 2
        part[members] = np.searchsorted(np.cumsum(quotas)[:-1], middle, side="right")
    if units.sizes.max() > 1:
        balance = _Balance(units, [float(share) for share in shares], part)
        for _ in range(MOST_PASSES):
            if not (balance.move_groups() or balance.exchange_groups()):
                break
        part = np.array(balance.place, np.int64)
    return part[units.group]


def _quotas(total: int, shares: Sequence[Fraction], owed: Sequence[Fraction]) -> tuple[list[int], list[Fraction]]:
    """Whole numbers nearest to the shares, and what each part is owed after them.

    Each part gets its share rounded down; the rest goes, one each, to the largest remainders, to which is added what
    strata before have left owing. A tie goes to the larger share, then to the earlier name.
    """
    exact = [total * share for share in shares]
    quotas = [math.floor(one) for one in exact]
    due = [one - quota + debt for one, quota, debt in zip(exact, quotas, owed, strict=True)]
    candidates = [part for part in range(len(shares)) if exact[part] > quotas[part]]
    candidates.sort(key=lambda part: (-due[part], -shares[part], part))
    for part in candidates[: total - sum(quotas)]:
        quotas[part] += 1
        due[part] -= 1
    return quotas, due


class _Balance:
    """Groups in parts, and by how much each part has too many or too few of each stratum and of the whole."""

    def __init__(self, units: _Units, shares: Sequence[float], part: IntArray) -> None:
        whole = int(units.stratum.max()) + 1  # the row of all strata together
        cells, times = np.unique(units.group * whole + units.stratum, return_counts=True)
        self.content = [{whole: size} for size in units.sizes.tolist()]
        for cell, count in zip(cells.tolist(), times.tolist(), strict=True):
            self.content[cell // whole][cell % whole] = count
        numbers = [*np.bincount(units.stratum).tolist(), len(units.group)]
        self.wanted = [[number * share for share in shares] for number in numbers]
        self.over = [[-goal for goal in row] for row in self.wanted]
        self.place: list[int] = part.tolist()
        self.members = [self.place.count(one) for one in range(len(shares))]
        self.tried = 0
        for place, contents in zip(self.place, self.content, strict=True):
            for row, count in contents.items():
                self.over[row][place] += count

    def move_groups(self) -> bool:
        """Moves each group once to where it does most good; whether any was moved. A part keeps its last group."""
        moved = False
        for group, source in enumerate(self.place):
            if self._settled():
                break
            if self.members[source] > 1:
                losses = [self._loss(self.content[group], source, target) for target in range(len(self.members))]
                best = losses.index(min(losses))
                if losses[best] < -TOLERANCE:
                    self._shift(self.content[group], source, best)
                    self.members[source] -= 1
                    self.members[best] += 1
                    self.place[group] = best
                    moved = True
        return moved

    def exchange_groups(self) -> bool:
        """Lets each group change places with the one within reach that does most good; whether any did."""
        moved = False
        for group, source in enumerate(self.place):
            if self._settled() or self.tried > MOST_EXCHANGES:
                break
            best, partner = -TOLERANCE, group
            for other in range(group + 1, min(group + REACH, len(self.place) - 1) + 1):
                if self.place[other] != source:
                    self.tried += 1
                    loss = self._loss(self._difference(group, other), source, self.place[other])
                    if loss < best:
                        best, partner = loss, other
            if partner != group:
                self._shift(self._difference(group, partner), source, self.place[partner])
                self.place[group], self.place[partner] = self.place[partner], source
                moved = True
        return moved

    def _settled(self) -> bool:
        """Whether every number is within one entity of what is wanted."""
        return all(abs(one) < 1 for row in self.over for one in row)

    def _difference(self, group: int, other: int) -> dict[int, int]:
        mine, theirs = self.content[group], self.content[other]
        return {row: mine.get(row, 0) - theirs.get(row, 0) for row in mine | theirs}

    def _loss(self, contents: Mapping[int, int], source: int, target: int) -> float:
        """What taking these contents from part to part adds to the sum of squared deviations over wanted numbers."""
        loss = 0.0
        if source != target:
            for row, count in contents.items():
                over, wanted = self.over[row], self.wanted[row]
                loss += (count - 2 * over[source]) * count / wanted[source]
                loss += (count + 2 * over[target]) * count / wanted[target]
        return loss

    def _shift(self, contents: Mapping[int, int], source: int, target: int) -> None:
        for row, count in contents.items():
            self.over[row][source] -= count
            self.over[row][target] += count


def _share_faults(shares: Mapping[str, float]) -> list[str]:
    faults = []
    if len(shares) < FEWEST_PARTS:
        faults.append("a split has two parts or more")
    if "" in shares:
        faults.append("a part has no name")
    wrong = [name for name, share in shares.items() if not share > 0]
    if wrong:
        faults.append(f"the share of {', '.join(wrong)} is not above 0")
    elif abs(math.fsum(shares.values()) - 1) > TOLERANCE:
        faults.append(f"the shares sum to {math.fsum(shares.values()):.10g}, not to 1")
    return faults


def _key(label: object) -> bytes:
    """Bytes that differ when labels do, empty for what is no label."""
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, str):
        return b"str" + label.encode("utf-8", "surrogatepass")
    if isinstance(label, bool | int) or (isinstance(label, float) and math.isfinite(label)):
        return type(label).__name__.encode() + repr(label).encode()
    return b""
