"""Pictures as arrays: the shape and type of each sort of picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from commonground.errors import BrokenFile
from commonground.exchange.picture_arrays import read_picture


def bytes_of(picture: Image.Image, sort: str) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    picture.save(buffer, sort)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "sort", "dtype", "shape"),
    [
        ("1", "PNG", "uint8", (2, 3)),
        ("L", "PNG", "uint8", (2, 3)),
        ("P", "PNG", "uint8", (2, 3, 3)),
        ("RGB", "JPEG", "uint8", (2, 3, 3)),
        ("RGBA", "PNG", "uint8", (2, 3, 4)),
        ("CMYK", "JPEG", "uint8", (2, 3, 3)),
        ("I;16", "PNG", "uint16", (2, 3)),
        ("I", "TIFF", "int32", (2, 3)),
        ("F", "TIFF", "float32", (2, 3)),
    ],
)
def test_every_sort_of_picture_has_its_shape(mode, sort, dtype, shape) -> None:
    """A picture three wide and two high is two by three, with channels last, and may be written to."""
    array = read_picture(bytes_of(Image.new(mode, (3, 2)), sort))
    assert (array.dtype.name, array.shape, array.flags.writeable) == (dtype, shape, True)


def test_the_points_are_those_of_the_picture() -> None:
    """What was saved without loss is read back exactly, deep greys included, and a palette as its colours."""
    deep = np.array([[0, 65535, 300]], dtype=np.uint16)
    assert np.array_equal(read_picture(bytes_of(Image.fromarray(deep), "PNG")), deep)
    colours = Image.new("P", (1, 1), 1)
    colours.putpalette([0, 0, 0, 9, 8, 7])
    assert read_picture(bytes_of(colours, "PNG")).tolist() == [[[9, 8, 7]]]


@pytest.mark.parametrize("data", [b"", b"no picture", bytes_of(Image.new("L", (64, 64)), "PNG")[:60]])
def test_what_is_no_picture_is_refused(data) -> None:
    """Bytes of something else, and a picture that is cut off, are an error of ours and not a grey square."""
    with pytest.raises(BrokenFile, match="no picture"):
        read_picture(data)
