"""What a disk may hold after a power cut: many images of one log, each a state that POSIX allows.

Until it is synced

- a write may be there or not, and be torn at 512 bytes; a file that was lengthened may show zeros instead;
- a name that was made, changed or removed may be so or not, each folder for itself, in order or not. A rename is one
  act: the old name does not go unless the new one comes.

fsync of a file makes its bytes durable but not its name, fsync of a folder its names but nothing below, syncfs all.
A file system that promises more (ext4 journals all names in order) is among the images, not the rule.
SQLite's shared index (`-shm`) is left out: it is rebuilt whenever a database is opened by nobody else.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from power_log import Log, Operation

SECTOR = 512


@dataclass(slots=True)
class File:
    """The bytes of one file."""

    durable: bytearray = field(default_factory=bytearray)
    """What is on the disk."""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """What is not yet: (offset, bytes) of writes, (size, None) of new sizes."""

    def sync(self) -> None:
        """All bytes reach the disk."""
        for number, data in self.pending:
            apply(self.durable, number, data)
        self.pending.clear()

    def image(self, chance: random.Random) -> bytes:
        """The bytes that a power cut may leave."""
        if not self.pending:
            return bytes(self.durable)
        content = bytearray(self.durable)
        how = chance.choice(["none", "all", "zeros", "whole", "torn", "torn"])
        share = chance.random()
        for number, data in self.pending if how != "none" else ():
            if data is None or how == "all":
                apply(content, number, data)
            elif how == "zeros":
                apply(content, len(content), bytes(max(0, number + len(data) - len(content))))
            elif how == "whole":
                if chance.random() < share:
                    apply(content, number, data)
            else:
                _tear(content, number, data, chance, share)
        return bytes(content)


def apply(content: bytearray, number: int, data: bytes | None) -> None:
    """Write `data` at offset `number`, or, without data, set the size to `number`."""
    if data is None:
        del content[number:]
    content.extend(bytes(max(0, number - len(content))))
    if data is not None:
        content[number : number + len(data)] = data


def _tear(content: bytearray, number: int, data: bytes, chance: random.Random, share: float) -> None:
    place = number
    while place < number + len(data):
        end = min((place // SECTOR + 1) * SECTOR, number + len(data))
        if chance.random() < share:
            apply(content, place, data[place - number : end - number])
        place = end


@dataclass(slots=True)
class Naming:
    """One change of a name."""

    serial: int
    """Its place among all; the two halves of a rename have the same."""
    name: str
    """The name that changes."""
    node: Node | None
    """What the name leads to afterwards; None if it goes."""
    needs: Folder | None = None
    """For the old name of a rename: the folder of the new one, in which the same serial must be done first."""


@dataclass(slots=True, eq=False)
class Folder:
    """The names in one folder."""

    number: int
    """Which folder it is, by the order in which they were made."""
    durable: dict[str, Node] = field(default_factory=dict)
    """The names on the disk."""
    pending: list[Naming] = field(default_factory=list)
    """The changes that are not there yet, in order."""
    live: dict[str, Node] = field(default_factory=dict)
    """The names as programs see them."""

    def sync(self) -> None:
        """All names reach the disk."""
        for change in self.pending:
            # Within one folder the new name comes first anyway.
            if change.needs is not None and change.needs is not self:
                change.needs.settle(change.serial)
            _rename(self.durable, change)
        self.pending.clear()

    def settle(self, serial: int) -> None:
        """The change `serial`, and those of the same name before it, reach the disk."""
        names = {change.name for change in self.pending if change.serial == serial}
        for change in [each for each in self.pending if each.name in names and each.serial <= serial]:
            _rename(self.durable, change)
            self.pending.remove(change)


Node = File | Folder


def _rename(names: dict[str, Node], change: Naming) -> None:
    if change.node is None:
        names.pop(change.name, None)
    else:
        names[change.name] = change.node


class Disk:
    """A disk while the operations of a log are done to it."""

    def __init__(self, log: Log) -> None:
        self._folders: list[Folder] = []
        self._files: dict[int, File] = {}
        self._serial = 0
        self.root = self._new_folder()
        for name in log.start.folders:
            self._place(name, self._new_folder())
        for name, (inode, data) in log.start.files.items():
            self._files[inode] = File(bytearray(data))
            self._place(name, self._files[inode])

    def _new_folder(self) -> Folder:
        self._folders.append(Folder(len(self._folders)))
        return self._folders[-1]

    def _place(self, path: str, node: Node) -> None:
        folder, name = self._find(path)
        folder.live[name] = folder.durable[name] = node

    def _find(self, path: str) -> tuple[Folder, str]:
        *parts, name = path.split("/")
        folder = self.root
        for part in parts:
            below = folder.live[part]
            assert isinstance(below, Folder)
            folder = below
        return folder, name

    def _change(self, path: str, node: Node | None, needs: Folder | None = None) -> Folder:
        folder, name = self._find(path)
        change = Naming(self._serial, name, node, needs)
        folder.pending.append(change)
        _rename(folder.live, change)
        return folder

    def do(self, operation: Operation) -> None:
        """Do the next operation."""
        self._serial += 1
        match operation.kind:
            case "C":
                self._files[operation.inode] = File()
                self._change(operation.path, self._files[operation.inode])
            case "K":
                self._change(operation.path, self._new_folder())
            case "L":
                self._change(operation.path, self._files[operation.inode])
            case "U":
                self._change(operation.path, None)
            case "R":
                folder, name = self._find(operation.path)
                target = self._change(operation.target, folder.live[name])
                self._change(operation.path, None, needs=target)
            case "W":
                self._files[operation.inode].pending.append((operation.number, operation.data))
            case "T":
                self._files[operation.inode].pending.append((operation.number, None))
            case "S":
                self._files[operation.inode].sync()
            case "D":
                self._find(f"{operation.path}/.".lstrip("/"))[0].sync()
            case "Y":
                for node in (*self._files.values(), *self._folders):
                    node.sync()

    def live(self) -> dict[str, bytes]:
        """The files as programs see them now, but for SQLite's shared index."""
        files: dict[str, bytes] = {}
        todo = [("", self.root)]
        while todo:
            start, folder = todo.pop()
            for name, node in folder.live.items():
                if isinstance(node, Folder):
                    todo.append((f"{start}{name}/", node))
                elif not name.endswith("-shm"):
                    content = bytearray(node.durable)
                    for number, data in node.pending:
                        apply(content, number, data)
                    files[start + name] = bytes(content)
        return files

    def image(self, chance: random.Random) -> tuple[dict[str, bytes], list[str]]:
        """The files and folders that a power cut now may leave."""
        kept = _choose(chance, sorted({change.serial for folder in self._folders for change in folder.pending}))
        contents: dict[int, bytes] = {}
        files: dict[str, bytes] = {}
        folders: list[str] = []
        todo: list[tuple[str, Folder]] = [("", self.root)]
        while todo:
            start, folder = todo.pop()
            names = folder.durable
            if folder.pending:
                names = dict(names)
                for change in folder.pending:
                    if kept(change, folder) and (change.needs is None or _has_come(change, change.needs, kept)):
                        _rename(names, change)
            for name, node in names.items():
                if isinstance(node, Folder):
                    folders.append(start + name)
                    todo.append((f"{start}{name}/", node))
                elif not name.endswith("-shm"):
                    if id(node) not in contents:
                        contents[id(node)] = node.image(chance)
                    files[start + name] = contents[id(node)]
        return files, folders


Kept = Callable[[Naming, Folder], bool]
"""Whether a power cut leaves a change of a name in a folder."""


def _has_come(change: Naming, target: Folder, kept: Kept) -> bool:
    """Whether the new name of a rename is there, so that the old one may go."""
    return all(kept(each, target) for each in target.pending if each.serial == change.serial)


def _choose(chance: random.Random, pending: list[int]) -> Kept:
    """One way in which the pending changes of names, given by their serials, may have reached the disk."""
    how = chance.choice(["none", "all", "journal", "journal", "folders", "any"])
    share, seed = chance.random(), chance.getrandbits(32)
    limits = [0, *pending]
    until = chance.choice(limits)

    def kept(change: Naming, folder: Folder) -> bool:
        match how:
            case "none":
                return False
            case "all":
                return True
            case "journal":
                return change.serial <= until
            case "folders":
                return change.serial <= random.Random(seed + folder.number).choice(limits)
            case _:
                # Both halves of a rename fall alike, because they have one serial.
                return random.Random(seed + change.serial).random() < share

    return kept


@dataclass(frozen=True, slots=True)
class Image:
    """One state in which a power cut may leave the folder."""

    number: int
    """Its number among the images of a log."""
    position: int
    """How many operations had taken effect."""
    acknowledged: tuple[dict[str, Any], ...]
    """What had been promised by then."""
    files: dict[str, bytes]
    """The bytes of each file by its name below the root."""
    folders: list[str]
    """The names of the folders."""

    def write_to(self, place: Path) -> Path:
        """Lay the image out below `place`, a new folder."""
        place.mkdir(parents=True)
        for folder in sorted(self.folders):
            (place / folder).mkdir()
        for name, data in self.files.items():
            (place / name).write_bytes(data)
        return place


def images(log: Log, count: int, seed: int) -> Iterator[Image]:
    """`count` images of power cuts at random moments, in the order of these; half of them just after a promise."""
    chance = random.Random(seed)
    promises = [place + 1 for place, each in enumerate(log.operations) if each.kind == "A"]
    size = len(log.operations)
    moments = sorted(
        chance.choice(promises) if promises and chance.random() < 0.5 else chance.randint(0, size) for _ in range(count)
    )
    acknowledged = log.acknowledged
    disk = Disk(log)
    done = 0
    for number, moment in enumerate(moments):
        for operation in log.operations[done:moment]:
            disk.do(operation)
        done = max(done, moment)
        files, folders = disk.image(random.Random(f"{seed}:{number}"))
        yield Image(number, moment, tuple(acknowledged[: bisect_right(promises, moment)]), files, folders)


Check = Callable[[Image], list[str]]
"""Looks at an image and says everything that is wrong with it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of checking many images."""

    checked: int
    """How many images there were."""
    failures: tuple[tuple[int, int, str], ...]
    """Number of the image, position of the power cut, what was wrong."""

    @property
    def broken(self) -> int:
        """In how many images something was wrong."""
        return len({number for number, _, _ in self.failures})


def replay(log: Log, check: Check, *, count: int, seed: int) -> Verdict:
    """Check `count` images of a log; the same seed gives the same images."""
    failures = [(image.number, image.position, fault) for image in images(log, count, seed) for fault in check(image)]
    return Verdict(count, tuple(failures))
