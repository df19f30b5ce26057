"""A folder of pictures whose names hold the keys ("{patient}_{scan}.png") into a draft, with every fault at once.

Columns: the fields of the pattern as text (NFC), then `path` (relative, "/", as on disk), `size` in bytes,
`media_type` by content, `width` and `height` in pixels. Rows are sorted by path. Every picture is decoded once, so that
a truncated one is found now and not in a training run; raster formats only, none of which starts a program.
Hidden files and what desktops leave behind are left out; links to folders are not followed.
"""

from __future__ import annotations

import os
import stat
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from commonground.errors import InvalidInput, NotFound, UnsafePath
from commonground.exchange.drafts import (
    SHOWN,
    Chunk,
    ColumnDraft,
    Fault,
    FaultList,
    check_columns_exist,
    one_or_more,
    printable,
    refuse,
)
from commonground.exchange.path_patterns import read_pattern

_DECODERS: Final = (
    PngImagePlugin.PngImageFile,
    JpegImagePlugin.JpegImageFile,
    TiffImagePlugin.TiffImageFile,
    BmpImagePlugin.BmpImageFile,
    GifImagePlugin.GifImageFile,
    WebPImagePlugin.WebPImageFile,
    Jpeg2KImagePlugin.Jpeg2KImageFile,
    PpmImagePlugin.PpmImageFile,
)
FORMATS: Final = tuple(decoder.format for decoder in _DECODERS)
"""The formats that are taken (JPEG includes that of several pictures); none starts a program, as PostScript would."""
MAX_PIXELS: Final = 89_478_485
"""Larger pictures are refused: the limit at which Pillow warns of a decompression bomb."""

FILE_COLUMNS: Final = ("path", "size", "media_type", "width", "height")
_TYPES: Final = {"MPO": "image/jpeg", "PPM": "image/x-portable-anymap"}
_SUFFIXES: Final = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".tif": "image/tiff", ".tiff": "image/tiff",
    ".bmp": "image/bmp", ".gif": "image/gif", ".webp": "image/webp", ".jp2": "image/jp2",
}  # fmt: skip
_LEFT_BEHIND: Final = frozenset({"thumbs.db", "desktop.ini"})
_LARGE: Final = 1 << 24
_ONE_LARGE_AT_A_TIME: Final = threading.Lock()
_THREADS: Final = 4
_TASK: Final = 64


@dataclass(frozen=True, slots=True)
class PictureDraft:
    """A folder of pictures, inspected: which files fit the pattern, and what is wrong with them."""

    source: Path
    pattern: str
    fields: tuple[str, ...]
    columns: tuple[ColumnDraft, ...]
    rows: int
    unmatched: tuple[str, ...]
    """The first files that do not fit the pattern, made printable."""
    unmatched_count: int
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    fault_count: int = 0
    key: tuple[str, ...] = ()
    """The fields that tell the pictures apart."""
    table: Chunk = field(repr=False, compare=False, kw_only=True)

    def check(self) -> Self:
        """The draft itself; InvalidInput with every fault if it has any."""
        if self.faults:
            refuse(self.source, self.faults, self.fault_count)
        return self

    def chunks(self, size: int = 50_000) -> Iterator[Chunk]:
        """The columns, at most `size` rows at a time; InvalidInput if the draft has faults."""
        if size < 1:
            raise InvalidInput("A chunk has at least one row.", todo="Give a size of 1 or more.")
        self.check()
        starts = range(0, self.rows, size)
        return ({name: values[start : start + size] for name, values in self.table.items()} for start in starts)


@dataclass(slots=True)
class _File:
    path: str
    place: Path
    size: int
    values: dict[str, str] = field(default_factory=dict)
    media_type: str = ""
    width: int = 0
    height: int = 0
    fault: tuple[str, str] | None = None


@dataclass(slots=True)
class _Listing:
    files: list[_File] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    left_out: int = 0
    folder_links: int = 0
    outside: list[str] = field(default_factory=list)


def match(folder: str | os.PathLike[str], pattern: str, *, key: str | Sequence[str] | None = None) -> PictureDraft:
    """The pictures in a folder whose paths fit a pattern, and everything that is wrong with them.

    `key` names the fields that must tell the pictures apart; all of them, unless stated.
    NotFound, InvalidInput for the folder or the pattern; UnsafePath if the pattern or a link leads outside the folder.
    """
    root = Path(folder)
    if not root.exists():
        raise NotFound(f"There is no folder {root}.", todo="Check the path.")
    if not root.is_dir():
        raise InvalidInput(f"{root.name} is not a folder.", todo="Give the folder that holds the pictures.")
    form = read_pattern(pattern)
    taken = [name for name in form.fields if name in FILE_COLUMNS]
    if taken:
        raise InvalidInput(f"The fields {', '.join(taken)} are columns of every picture.", todo="Rename the fields.")
    parts = one_or_more(key) or form.fields
    check_columns_exist(parts, form.fields, "the key")

    faults = FaultList()
    found = _list(root.resolve(), faults)
    if found.outside:
        raise UnsafePath(
            "Links in the folder lead outside it.",
            faults=found.outside[:SHOWN],
            todo="Replace the links by the files, or remove them.",
        )
    files: list[_File] = []
    unmatched: list[str] = []
    for file in found.files:
        values = form.match(file.path)
        if values == "no":
            unmatched.append(file.path)
        elif values == "twice":
            words = "the name fits the pattern in more ways than one; put other text between the fields"
            faults.add("ambiguous-name", words, sample=file.path)
        else:
            file.values = {name: unicodedata.normalize("NFC", value) for name, value in values.items()}
            files.append(file)
    if not files and not len(faults):
        faults.add("no-rows", "no file fits the pattern")
    _check_twins([*found.folders, *(file.path for file in files)], faults)
    _check_key(files, parts, faults)
    _look_at(files)
    return _draft(
        root,
        pattern,
        fields=form.fields,
        key=parts,
        files=files,
        unmatched=unmatched,
        notes=_notes(found, files),
        faults=faults,
    )


def _draft(
    root: Path,
    pattern: str,
    *,
    fields: tuple[str, ...],
    key: tuple[str, ...],
    files: Sequence[_File],
    unmatched: Sequence[str],
    notes: tuple[str, ...],
    faults: FaultList,
) -> PictureDraft:
    for file in files:
        if file.fault is not None:
            faults.add(*file.fault, sample=file.path)
    table: Chunk = {name: [file.values[name] for file in files] for name in fields}
    table["path"] = [file.path for file in files]
    table["size"] = [file.size for file in files]
    table["media_type"] = [file.media_type for file in files]
    table["width"] = [file.width for file in files]
    table["height"] = [file.height for file in files]
    columns = tuple(
        ColumnDraft(
            name,
            "int" if name in {"size", "width", "height"} else "text",
            0,
            tuple(printable(text) for text in dict.fromkeys(str(value) for value in values[:SHOWN]))[:5],
        )
        for name, values in table.items()
    )
    return PictureDraft(
        source=root,
        pattern=pattern,
        fields=fields,
        columns=columns,
        rows=len(files),
        unmatched=tuple(printable(path) for path in unmatched[:SHOWN]),
        unmatched_count=len(unmatched),
        faults=faults.listed(),
        notes=notes,
        fault_count=len(faults),
        key=key,
        table=table,
    )


def _list(root: Path, faults: FaultList) -> _Listing:
    """Every file below the folder, sorted by path."""
    found = _Listing()
    waiting = [(root, "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            faults.add("unreadable", f"the folder cannot be read: {error.strerror}", sample=prefix)
            continue
        for entry in entries:
            path = prefix + entry.name
            if entry.name.startswith(".") or entry.name.lower() in _LEFT_BEHIND:
                found.left_out += 1
            elif not entry.name.isprintable():
                faults.add("bad-name", "a name with control characters, or not in UTF-8", sample=path)
            elif entry.is_symlink():
                _follow(root, path, entry, found, faults)
            elif entry.is_dir(follow_symlinks=False):
                found.folders.append(path)
                waiting.append((Path(entry.path), f"{path}/"))
            else:
                _add(path, Path(entry.path), found, faults)
    found.files.sort(key=lambda file: file.path)
    found.folders.sort()
    return found


def _follow(root: Path, path: str, entry: os.DirEntry[str], found: _Listing, faults: FaultList) -> None:
    try:
        target = Path(entry.path).resolve()
    except (OSError, RuntimeError):
        faults.add("broken-link", "a link that leads in a circle", sample=path)
        return
    if not target.is_relative_to(root):
        found.outside.append(printable(path))
    elif not target.exists():
        faults.add("broken-link", "a link that leads nowhere", sample=path)
    elif target.is_dir():
        found.folder_links += 1
    else:
        _add(path, target, found, faults)


def _add(path: str, place: Path, found: _Listing, faults: FaultList) -> None:
    try:
        facts = place.stat()
    except OSError as error:
        faults.add("unreadable", f"the file cannot be read: {error.strerror}", sample=path)
        return
    if stat.S_ISREG(facts.st_mode):
        found.files.append(_File(path, place, facts.st_size))
    else:
        faults.add("not-a-file", "not an ordinary file", sample=path)


def _check_twins(paths: Iterable[str], faults: FaultList) -> None:
    first: dict[str, str] = {}
    for path in paths:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        other = first.setdefault(folded, path)
        if other != path:
            words = f"differs only in case or accents' form from '{printable(other)}'"
            faults.add("twin-name", words, sample=path)


def _check_key(files: Iterable[_File], key: Sequence[str], faults: FaultList) -> None:
    first: dict[tuple[str, ...], str] = {}
    for file in files:
        other = first.setdefault(tuple(file.values[name] for name in key), file.path)
        if other != file.path:
            words = f"has the same {', '.join(key)} as '{printable(other)}'"
            faults.add("duplicate-key", words, sample=file.path)


def _notes(found: _Listing, files: Iterable[_File]) -> tuple[str, ...]:
    notes = []
    if found.left_out:
        notes.append(f"{found.left_out:,} hidden files or folders, or files that a desktop leaves behind, left out")
    if found.folder_links:
        notes.append(f"{found.folder_links:,} links to folders not followed")
    misnamed = [file.path for file in files if _misnamed(file)]
    if misnamed:
        notes.append(f"{len(misnamed):,} pictures are not what their name says, such as '{printable(misnamed[0])}'")
    return tuple(notes)


def _misnamed(file: _File) -> bool:
    expected = _SUFFIXES.get(Path(file.path).suffix.lower())
    return bool(file.media_type and expected and expected != file.media_type)


def _look_at(files: Sequence[_File]) -> None:
    """Fill in what the content says, on a few threads: decoding releases the interpreter."""
    tasks = [files[start : start + _TASK] for start in range(0, len(files), _TASK)]
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for _ in pool.map(_look_at_each, tasks):
            pass


def _look_at_each(files: Iterable[_File]) -> None:
    for file in files:
        try:
            file.fault = _decode(file)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            file.fault = ("too-large", f"a picture of more than {MAX_PIXELS:,} pixels")
        except UnidentifiedImageError:
            file.fault = ("not-a-picture", "not a picture in a format that is taken")
        except Exception as error:  # noqa: BLE001 - a decoder raises anything over a broken file
            if isinstance(error, OSError) and error.errno is not None:
                file.fault = ("unreadable", f"the file cannot be read: {error.strerror}")
                continue
            file.fault = ("broken-picture", f"a broken picture: {printable(str(error))}")


def _decode(file: _File) -> tuple[str, str] | None:
    if not file.size:
        return "empty-file", "an empty file"
    with file.place.open("rb") as data:
        with Image.open(data, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                return "too-large", f"a picture of more than {MAX_PIXELS:,} pixels"
            file.width, file.height = picture.size
            name = picture.format or ""
            file.media_type = _TYPES.get(name) or Image.MIME[name]
            picture.verify()
        data.seek(0)
        with Image.open(data, formats=FORMATS) as picture:
            if picture.width * picture.height > _LARGE:
                with _ONE_LARGE_AT_A_TIME:
                    picture.load()
            else:
                picture.load()
    return None
