r"""A pack: plans and files by digest in one file, for the delivery of spools, joining offline work, and moving.

    b"commonground-pack 1\n"
    u64 length of the table of contents, the table of contents in JSON
    the bytes of each file, one after the other, in the order of the contents
    SHA-256 of all bytes before it

contents    {"study": id, "plans": [plain data with "plan": rid], "files": [{"digest", "size"}], "about": plain data}

A pack is never trusted: nothing in it is a path, every length is bounded before anything is read, files are taken by
the digest of the bytes that came, and plans are data for the caller to check and commit. Reading one again is harmless:
files that are there are there, and a plan that was committed is committed once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from commonground.errors import BrokenFile, InvalidInput
from commonground.identity import MAX_RID
from commonground.store import files
from commonground.store.blobs import BlobStore
from commonground.store.changes import canonical_json
from commonground.store.faults import point

MAGIC = b"commonground-pack 1\n"
LARGEST_CONTENTS = 256 << 20
LARGEST_PACK = 1 << 40
MOST_FILES, MOST_PLANS = 1_000_000, 100_000
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LENGTH = struct.Struct("<Q")
_CHUNK = 1 << 20
_FILES_AT_ONCE = 1000
_BYTES_AT_ONCE = 64 << 20
_SUM = 32


@dataclass(frozen=True, slots=True)
class Pack:
    """What a pack holds."""

    study: str
    """The id of the study that it is for."""
    plans: tuple[Mapping[str, Any], ...]
    """The plans in order, as plain data that nobody has checked yet."""
    files: Mapping[str, int]
    """Digest and size of each file."""
    about: Mapping[str, Any]
    """What the writer said of it: origin, time, door."""


def write_pack(
    path: Path,
    *,
    study: str,
    plans: Sequence[Mapping[str, Any]],
    blobs: BlobStore,
    digests: Sequence[str] = (),
    about: Mapping[str, Any] | None = None,
) -> Pack:
    """Write a pack to a new file; it is durable when this returns.

    Raises InvalidInput for plans that are no plain data or have no rid, NotFound or Corrupt for a file that is missing
    or wrong in the store.
    """
    listed = [{"digest": digest, "size": blobs.size(digest)} for digest in dict.fromkeys(digests)]
    contents = {"study": study, "plans": list(plans), "files": listed, "about": dict(about or {})}
    if fault := _fault(contents):
        raise InvalidInput(f"This cannot be packed: {fault}.")
    told = canonical_json(contents).encode()
    temporary = path.with_name(f".{path.name}.part")
    descriptor = files.create(temporary)
    whole = hashlib.sha256()
    try:
        point("pack.write")
        for data in (MAGIC, _LENGTH.pack(len(told)), told):
            whole.update(data)
            files.write_all(descriptor, data, path)
        for entry in listed:
            with blobs.open_verified(str(entry["digest"])) as stream:
                while data := stream.read(_CHUNK):
                    whole.update(data)
                    files.write_all(descriptor, data, path)
        files.write_all(descriptor, whole.digest(), path)
        files.sync_file(descriptor, path)
    except BaseException:
        files.discard(temporary)
        raise
    finally:
        os.close(descriptor)
    files.rename(temporary, path)
    files.sync_folder(path.parent)
    return _pack(contents)


def read_pack(path: Path, blobs: BlobStore, *, largest: int = LARGEST_PACK) -> Pack:
    """Check a whole pack and take its files in; what its plans say is for the caller to check.

    Raises BrokenFile if it is no pack, is cut, altered or larger than `largest` bytes; no file was then taken in. The
    caller holds the store (`holding`) until the plans that name the files are committed.
    """
    contents = look_into(path, largest=largest)
    point("pack.apply")
    with path.open("rb") as stream:
        stream.seek(_start_of_files(stream))
        for part in _some_files(contents["files"]):
            with tempfile.TemporaryDirectory(prefix="cg-pack-") as place:
                taken = [_take(stream, Path(place) / str(number), entry) for number, entry in enumerate(part)]
                found = [info.digest for info in blobs.put_files(taken)]
            if found != [entry["digest"] for entry in part]:
                raise BrokenFile(f"{path.name} changed while it was read.", todo="Deliver the pack again.")
    return _pack(contents)


def look_into(path: Path, *, largest: int = LARGEST_PACK) -> dict[str, Any]:
    """The contents of a pack after all of it was checked: form, sum, and each file's digest; takes nothing in."""
    try:
        with path.open("rb") as stream:
            return _checked(stream, path, largest)
    except OSError as error:
        raise BrokenFile(f"{path.name} cannot be read: {error.strerror or error}.") from error


def _checked(stream: BinaryIO, path: Path, largest: int) -> dict[str, Any]:
    size = os.fstat(stream.fileno()).st_size
    if size > largest:
        raise BrokenFile(f"{path.name} has {size} bytes; at most {largest} are taken.")
    head = stream.read(len(MAGIC) + _LENGTH.size)
    if len(head) < len(MAGIC) + _LENGTH.size or not head.startswith(MAGIC):
        raise BrokenFile(f"{path.name} is not a pack that this release can read.")
    (length,) = _LENGTH.unpack(head[len(MAGIC) :])
    if length > min(LARGEST_CONTENTS, size):
        raise BrokenFile(f"{path.name} says that its table of contents is longer than it can be.")
    told = stream.read(length)
    try:
        contents = json.loads(told)
    except (ValueError, RecursionError) as error:
        raise BrokenFile(f"The table of contents of {path.name} cannot be read.") from error
    if fault := _fault(contents):
        raise BrokenFile(f"{path.name} is not a sound pack: {fault}.")
    if len(head) + length + sum(entry["size"] for entry in contents["files"]) + _SUM != size:
        raise BrokenFile(f"{path.name} is not as long as its contents say: it was cut or added to.")
    whole = hashlib.sha256(head + told)
    for entry in contents["files"]:
        digest = hashlib.sha256()
        for data in _bytes(stream, entry["size"]):
            digest.update(data)
            whole.update(data)
        if digest.hexdigest() != entry["digest"]:
            raise BrokenFile(f"A file in {path.name} is not what its digest says.", todo="Deliver the pack again.")
    if stream.read(_SUM) != whole.digest():
        raise BrokenFile(f"{path.name} is not what was written.", todo="Deliver the pack again.")
    return dict(contents)


def _fault(contents: object) -> str:
    """What is wrong with a table of contents; empty if nothing is."""
    if not isinstance(contents, dict) or set(contents) != {"study", "plans", "files", "about"}:
        return "its table of contents has other parts than it should"
    plans, listed = contents["plans"], contents["files"]
    if not isinstance(contents["study"], str) or not isinstance(contents["about"], dict):
        return "it does not say for which study it is"
    if not isinstance(plans, list) or len(plans) > MOST_PLANS:
        return f"its plans are no list of at most {MOST_PLANS}"
    if not isinstance(listed, list) or len(listed) > MOST_FILES:
        return f"its files are no list of at most {MOST_FILES}"
    rids = [plan.get("plan") if isinstance(plan, dict) else None for plan in plans]
    if not all(type(rid) is int and 0 < rid <= MAX_RID for rid in rids) or len(set(rids)) != len(rids):
        return "a plan has no id, or two have the same"
    for entry in listed:
        if not isinstance(entry, dict) or set(entry) != {"digest", "size"}:
            return "a file is not told by digest and size"
        if not isinstance(entry["digest"], str) or not _DIGEST.fullmatch(entry["digest"]):
            return "a file's digest is none"
        if type(entry["size"]) is not int or not 0 <= entry["size"] <= LARGEST_PACK:
            return "a file's size is none"
    if len({entry["digest"] for entry in listed}) != len(listed):
        return "a file comes twice"
    return ""


def _start_of_files(stream: BinaryIO) -> int:
    head = stream.read(len(MAGIC) + _LENGTH.size)
    return len(head) + int(_LENGTH.unpack(head[len(MAGIC) :])[0])


def _some_files(listed: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The files some at a time: no more than _FILES_AT_ONCE and, but for a large one alone, than _BYTES_AT_ONCE."""
    part: list[dict[str, Any]] = []
    size = 0
    for entry in listed:
        if part and (len(part) >= _FILES_AT_ONCE or size + entry["size"] > _BYTES_AT_ONCE):
            yield part
            part, size = [], 0
        part.append(entry)
        size += entry["size"]
    if part:
        yield part


def _take(stream: BinaryIO, path: Path, entry: Mapping[str, Any]) -> Path:
    with path.open("wb") as target:
        for data in _bytes(stream, entry["size"]):
            target.write(data)
    return path


def _bytes(stream: BinaryIO, size: int) -> Iterator[bytes]:
    left = size
    while left:
        data = stream.read(min(_CHUNK, left))
        if not data:
            raise BrokenFile("The pack ends too early.", todo="Deliver the pack again.")
        left -= len(data)
        yield data


def _pack(contents: Mapping[str, Any]) -> Pack:
    sizes = {entry["digest"]: entry["size"] for entry in contents["files"]}
    return Pack(contents["study"], tuple(contents["plans"]), sizes, contents["about"])
