"""A nodule's outlines as a small palette PNG, one ink and one dash for each reader, at 5 pixels per mm.

A picture is 104 pixels square (20.8 mm), larger where an outline needs it; the scale is the same in all of them and is
also written into the resolution field of the file. Behind the lines: a grid of 5 mm, a light ground inside any
outline and a darker one inside all of them. The reader of the lowest slot is drawn first.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Points = npt.NDArray[np.float64]
Levels = npt.NDArray[np.uint8]
Palette = npt.NDArray[np.int64]

PX_PER_MM = 5
OVERSAMPLE = 4  # lines are drawn this much larger and averaged down
SMALLEST_PX = 104  # 20.8 mm; 95 of 100 nodules fit
MARGIN_PX = 10
GRID_MM = 5
LINE_PX = 1.75
# One colour and one dash (pixels drawn, pixels left out) for each reader slot, so that neither is needed alone.
INKS = ("#1b1f23", "#0072b2", "#b65300", "#a03c7c", "#3a7d44")
DASHES: tuple[tuple[float, float] | None, ...] = (None, (9, 5), (5, 5), (2.5, 4.5), (12, 4))
# Inside no outline, some, all of them; each without and with a grid line.
GROUNDS = (("#ffffff", "#e6e6e0"), ("#f3f3ef", "#dcdcd5"), ("#e4e4de", "#cfcfc7"))
STRENGTHS = (0.4, 0.72, 1.0)  # of a line that covers a third, two thirds, all of a pixel
INK_STEPS = len(STRENGTHS)
FOUR_BIT = 16


def draw_outlines(outlines: Mapping[int, Sequence[tuple[bool, Points]]]) -> bytes:
    """The PNG of what the readers drew on one slice.

    outlines: by reader slot (from 1), each a closed line as (is it a hole, points (n, 2) in mm, y down).
    """
    pixels = {slot: [(hole, points * PX_PER_MM) for hole, points in drawn] for slot, drawn in outlines.items()}
    every = np.vstack([points for drawn in pixels.values() for _, points in drawn])
    low, high = every.min(axis=0), every.max(axis=0)
    size = max(SMALLEST_PX, int(np.ceil((high - low).max())) + 2 * MARGIN_PX)
    size += size % 2
    shift = size / 2 - (low + high) / 2
    placed = {slot: [(hole, points + shift) for hole, points in drawn] for slot, drawn in pixels.items()}
    lines = {slot: [points for _, points in drawn] for slot, drawn in placed.items()}
    return encode(paint_lines(paint_ground(size, list(placed.values())), lines))


def paint_ground(size: int, readers: Sequence[Sequence[tuple[bool, Points]]]) -> Palette:
    """What lies behind the lines: (size, size) palette numbers."""
    inside = np.sum([draw_inside(size, drawn) for drawn in readers], axis=0)
    ground = np.where(inside == 0, 0, np.where((inside == len(readers)) & (len(readers) > 1), 2, 1))
    step = GRID_MM * PX_PER_MM
    grid = np.arange(size) % step == size // 2 % step
    return np.asarray(2 * ground + (grid[:, None] | grid[None, :]), np.int64)


def paint_lines(picture: Palette, lines: Mapping[int, Sequence[Points]]) -> Palette:
    """The picture with each reader's lines on it: first faint and whole on free ground, then the dashes over all."""
    first, size = 2 * len(GROUNDS), len(picture)
    for slot, outlines in sorted(lines.items()):
        whole = draw_line(size, outlines, None) > 1
        picture = np.where(whole & (picture < first), first + (slot - 1) * INK_STEPS, picture)
    for slot, outlines in sorted(lines.items()):
        level = draw_line(size, outlines, DASHES[slot - 1])
        over = (level > 1) | ((level == 1) & (picture < first))
        picture = np.where(over, first + (slot - 1) * INK_STEPS + level - 1, picture)
    return picture


def encode(picture: Palette) -> bytes:
    """A PNG of palette numbers, with only the colours in use; its resolution field says 5 pixels per mm."""
    grounds = [tuple(bytes.fromhex(colour[1:])) for pair in GROUNDS for colour in pair]
    palette = [*grounds, *(blend(ink, strength) for ink in INKS for strength in STRENGTHS)]
    used, numbers = np.unique(picture, return_inverse=True)
    image = Image.fromarray(numbers.reshape(picture.shape).astype(np.uint8)).convert("P")
    image.putpalette([part for colour in used for part in palette[colour]])
    written = io.BytesIO()
    dpi = PX_PER_MM * 25.4
    image.save(written, "PNG", optimize=True, bits=4 if len(used) <= FOUR_BIT else 8, dpi=(dpi, dpi))
    return written.getvalue()


def cut_dashes(points: Points, dash: tuple[float, float] | None) -> Iterator[Points]:
    """The pieces to draw of a closed line in pixels; all of it if there is no dash."""
    closed = np.vstack([points, points[:1]])
    if dash is None:
        yield closed
        return
    travelled = np.concatenate([[0.0], np.hypot(*np.diff(closed, axis=0).T).cumsum()])
    drawn, left_out = dash
    for start in np.arange(0.0, travelled[-1], drawn + left_out):
        end = min(start + drawn, travelled[-1])
        stops = np.array([start, *travelled[(travelled > start) & (travelled < end)], end])
        yield np.column_stack([np.interp(stops, travelled, closed[:, axis]) for axis in (0, 1)])


def draw_line(size: int, outlines: Sequence[Points], dash: tuple[float, float] | None) -> Levels:
    """How much of each pixel a reader's lines cover, in thirds: (size, size), 0 to 3."""
    large = Image.new("L", (size * OVERSAMPLE, size * OVERSAMPLE))
    pen = ImageDraw.Draw(large)
    for points in outlines:
        for piece in cut_dashes(points, dash):
            way = [(float(x), float(y)) for x, y in piece * OVERSAMPLE]
            pen.line(way, fill=255, width=round(LINE_PX * OVERSAMPLE), joint="curve")
    covered = np.asarray(large.resize((size, size), Image.Resampling.BOX), np.float64) / 255
    return np.rint(covered * INK_STEPS).astype(np.uint8)


def draw_inside(size: int, outlines: Sequence[tuple[bool, Points]]) -> Levels:
    """The pixels inside a reader's outlines and outside the holes: (size, size), 0 or 1."""
    mask = Image.new("1", (size, size))
    pen = ImageDraw.Draw(mask)
    for hole, points in sorted(outlines, key=lambda outline: outline[0]):
        pen.polygon([(float(x), float(y)) for x, y in points], fill=0 if hole else 1)
    return np.asarray(mask, np.uint8)


def blend(ink: str, strength: float) -> tuple[int, int, int]:
    """A colour written as #rrggbb, mixed with the ground inside an outline."""
    pairs = zip(bytes.fromhex(ink[1:]), bytes.fromhex(GROUNDS[1][0][1:]), strict=True)
    red, green, blue = (round(strength * front + (1 - strength) * back) for front, back in pairs)
    return red, green, blue
