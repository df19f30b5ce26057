r"""A pack: folders of files in one file, carried by hand to where they are wanted.

    b"commonground-pack 1\n"
    u64 length of the table of contents, the table of contents in JSON
    the bytes of each file, one after the other, in the order of the contents
    SHA-256 of all bytes before it

contents    {"study": id, "folders": [{"rid", "files": [{"name", "digest", "size"}]}], "about": {word: text}}

A pack is never trusted: every length is bounded before anything is read, a file has a plain name and the digest that
is told of it, and where things are put is for the reader to say. What the files hold is for the caller to check.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from commonground.errors import BrokenFile, InvalidInput, StorageError
from commonground.identity import MAX_RID, Rid, show_rid
from commonground.store import files
from commonground.store.changes import canonical_json
from commonground.store.disk_errors import in_words, storage_error
from commonground.store.faults import point
from commonground.store.workspaces import sweep, workspace

MAGIC: Final = b"commonground-pack 1\n"
LARGEST_CONTENTS: Final = 256 << 20
LARGEST_PACK: Final = 1 << 40
MOST_FOLDERS, MOST_FILES = 100_000, 1_000_000
LONGEST_WORDS: Final = 200
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_LENGTH = struct.Struct("<Q")
_CHUNK = 1 << 20
_SUM = 32
AGAIN: Final = "Make the pack again, or bring it over again."


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file in a pack."""

    name: str
    """Its name in its folder; never a path."""
    digest: str
    """SHA-256 of its bytes."""
    size: int
    """How many bytes it has."""


@dataclass(frozen=True, slots=True)
class PackedFolder:
    """A folder in a pack."""

    rid: Rid
    """What it is of."""
    files: tuple[PackedFile, ...]
    """Its files, in the order in which they lie in the pack."""


@dataclass(frozen=True, slots=True)
class Pack:
    """What a pack holds."""

    study: str
    """The id of the study that it is for."""
    folders: tuple[PackedFolder, ...]
    """Its folders."""
    about: Mapping[str, str]
    """What the writer said of it: by whom, when, on which machine."""


def is_plain_name(name: object) -> bool:
    """Whether this is the name of a file in a folder, and can be no path."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def list_files(folder: Path) -> list[PackedFile]:
    """The files of a folder as a pack tells of them, by name. Raises StorageError if one cannot be read."""
    with in_words("reading", folder):
        paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
        return [_measure(path) for path in paths]


def write_pack(
    path: Path,
    *,
    study: str,
    folders: Mapping[Rid, Path],
    about: Mapping[str, str],
    leave_out: frozenset[str] = frozenset(),
) -> Pack:
    """Write the files of these folders to a new pack, for its owner's eyes only; it is durable when this returns.

    Files called as in `leave_out` stay where they are. Raises InvalidInput if `path` is taken or something cannot be
    packed, StorageError if a file changes meanwhile or there is no room.
    """
    if path.exists():
        raise InvalidInput(f"There is a file {path} already.", todo="Give the pack another name.")
    listed = tuple(
        PackedFolder(rid, tuple(one for one in list_files(folder) if one.name not in leave_out))
        for rid, folder in folders.items()
    )
    contents = {"study": study, "folders": [asdict(folder) for folder in listed], "about": dict(about)}
    told = canonical_json(contents).encode()
    if fault := _fault(json.loads(told)):
        raise InvalidInput(f"This cannot be packed: {fault}.", todo="Leave that out.")
    place = path.absolute().parent
    sweep(place)
    with workspace(place) as beside:
        made = beside / "pack"
        descriptor = files.create(made, mode=0o600)
        try:
            point("pack.write")
            _write(descriptor, made, told, listed, folders)
            files.sync_file(descriptor, made)
        finally:
            os.close(descriptor)
        files.rename(made, path)
        files.sync_folder(place)
    return Pack(study, listed, dict(about))


def look_into(path: Path, *, largest: int = LARGEST_PACK) -> Pack:
    """What a pack holds, after all of it was checked: form, sum, and each file's digest.

    Raises BrokenFile if it is no pack, is cut, altered or larger than `largest` bytes.
    """
    try:
        with path.open("rb") as stream:
            contents, _ = _checked(stream, path, largest)
    except OSError as error:
        raise BrokenFile(
            f"{path.name} cannot be read: {error.strerror or error}.",
            todo="Check that you may read it, or fetch it again.",
        ) from error
    return _pack(contents)


def unpack(path: Path, place: Path, *, largest: int = LARGEST_PACK) -> Pack:
    """Check a whole pack, then write each of its folders into `place`, named by its rid; durable when this returns.

    Raises BrokenFile as `look_into` does, before anything is written, and StorageError if there is no room.
    """
    try:
        with path.open("rb") as stream:
            contents, start = _checked(stream, path, largest)
            point("pack.apply")
            stream.seek(start)
            made = [
                _take(stream, place / show_rid(folder["rid"]), entry)
                for folder in contents["folders"]
                for entry in folder["files"]
            ]
    except OSError as error:
        raise storage_error(error, "unpacking into", place) from error
    files.sync_many([*made, *dict.fromkeys(one.parent for one in made), place])
    return _pack(contents)


def _write(
    descriptor: int, made: Path, told: bytes, listed: tuple[PackedFolder, ...], folders: Mapping[Rid, Path]
) -> None:
    whole = hashlib.sha256()
    for data in (MAGIC, _LENGTH.pack(len(told)), told):
        whole.update(data)
        files.write_all(descriptor, data, made)
    for folder in listed:
        for one in folder.files:
            digest = hashlib.sha256()
            source = folders[folder.rid] / one.name
            with in_words("reading", source), source.open("rb") as stream:
                left = one.size
                while left and (data := stream.read(min(_CHUNK, left))):
                    left -= len(data)
                    digest.update(data)
                    whole.update(data)
                    files.write_all(descriptor, data, made)
            if digest.hexdigest() != one.digest:
                raise StorageError(f"{source} changed while it was packed.", todo="Pack again when nothing writes it.")
    files.write_all(descriptor, whole.digest(), made)


def _measure(path: Path) -> PackedFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return PackedFile(path.name, digest, stream.tell())


def _checked(stream: BinaryIO, path: Path, largest: int) -> tuple[dict[str, Any], int]:
    """The contents of a sound pack, and where its files begin."""
    size = os.fstat(stream.fileno()).st_size
    if size > largest:
        raise BrokenFile(
            f"{path.name} has {size} bytes; at most {largest} are taken.",
            todo="Make smaller packs, or check that this is one.",
        )
    head = stream.read(len(MAGIC) + _LENGTH.size)
    if len(head) < len(MAGIC) + _LENGTH.size or not head.startswith(MAGIC):
        raise BrokenFile(f"{path.name} is not a pack that this release can read.", todo="Fetch or make the pack again.")
    (length,) = _LENGTH.unpack(head[len(MAGIC) :])
    if length > min(LARGEST_CONTENTS, size):
        raise BrokenFile(f"{path.name} says that its table of contents is longer than it can be.", todo=AGAIN)
    told = stream.read(length)
    try:
        contents = json.loads(told)
    except (ValueError, RecursionError) as error:
        raise BrokenFile(f"The table of contents of {path.name} cannot be read.", todo=AGAIN) from error
    if fault := _fault(contents):
        raise BrokenFile(f"{path.name} is not a sound pack: {fault}.", todo=AGAIN)
    entries = [entry for folder in contents["folders"] for entry in folder["files"]]
    if len(head) + length + sum(entry["size"] for entry in entries) + _SUM != size:
        raise BrokenFile(f"{path.name} is not as long as its contents say: it was cut or added to.", todo=AGAIN)
    whole = hashlib.sha256(head + told)
    for entry in entries:
        digest = hashlib.sha256()
        for data in _bytes(stream, entry["size"]):
            digest.update(data)
            whole.update(data)
        if digest.hexdigest() != entry["digest"]:
            raise BrokenFile(f"A file in {path.name} is not what its digest says.", todo=AGAIN)
    if stream.read(_SUM) != whole.digest():
        raise BrokenFile(f"{path.name} is not what was written.", todo=AGAIN)
    return contents, len(head) + length


def _fault(contents: object) -> str:
    """What is wrong with a table of contents; empty if nothing is."""
    if not isinstance(contents, dict) or set(contents) != {"study", "folders", "about"}:
        return "its table of contents has other parts than it should"
    folders, about = contents["folders"], contents["about"]
    if not isinstance(contents["study"], str) or not isinstance(about, dict):
        return "it does not say for which study it is"
    if not all(isinstance(words, str) and len(words) <= LONGEST_WORDS for words in (*about, *about.values())):
        return "what it says of itself is no short text"
    if not isinstance(folders, list) or len(folders) > MOST_FOLDERS:
        return f"its folders are no list of at most {MOST_FOLDERS}"
    if not all(isinstance(one, dict) and set(one) == {"rid", "files"} for one in folders):
        return "a folder is not told by what it is of and its files"
    rids = [one["rid"] for one in folders]
    if not all(type(rid) is int and 0 < rid <= MAX_RID for rid in rids) or len(set(rids)) != len(rids):
        return "a folder has no id, or two have the same"
    if not all(isinstance(one["files"], list) for one in folders) or sum(len(one["files"]) for one in folders) > (
        MOST_FILES
    ):
        return f"its files are no list of at most {MOST_FILES}"
    return next((fault for one in folders if (fault := _fault_of_files(one["files"]))), "")


def _fault_of_files(listed: list[Any]) -> str:
    for entry in listed:
        if not isinstance(entry, dict) or set(entry) != {"name", "digest", "size"}:
            return "a file is not told by name, digest and size"
        if not is_plain_name(entry["name"]):
            return "a file's name is none"
        if not isinstance(entry["digest"], str) or not _DIGEST.fullmatch(entry["digest"]):
            return "a file's digest is none"
        if type(entry["size"]) is not int or not 0 <= entry["size"] <= LARGEST_PACK:
            return "a file's size is none"
    if len({entry["name"].lower() for entry in listed}) != len(listed):
        return "a file comes twice"
    return ""


def _take(stream: BinaryIO, folder: Path, entry: Mapping[str, Any]) -> Path:
    """Write a file of a pack into a folder; its bytes are checked once more, since the pack may have changed."""
    if not folder.exists():
        files.make_folder(folder)
    path: Path = folder / entry["name"]
    digest = hashlib.sha256()
    descriptor = files.create(path, mode=0o600)
    try:
        for data in _bytes(stream, entry["size"]):
            digest.update(data)
            files.write_all(descriptor, data, path)
    finally:
        os.close(descriptor)
    if digest.hexdigest() != entry["digest"]:
        raise BrokenFile("The pack changed while it was read.", todo=AGAIN)
    return path


def _bytes(stream: BinaryIO, size: int) -> Iterator[bytes]:
    left = size
    while left:
        data = stream.read(min(_CHUNK, left))
        if not data:
            raise BrokenFile("The pack ends too early.", todo=AGAIN)
        left -= len(data)
        yield data


def _pack(contents: Mapping[str, Any]) -> Pack:
    folders = tuple(
        PackedFolder(one["rid"], tuple(PackedFile(**entry) for entry in one["files"])) for one in contents["folders"]
    )
    return Pack(contents["study"], folders, contents["about"])
