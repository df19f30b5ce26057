"""A picture's bytes as an array, for a model."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from commonground.errors import BrokenFile

PLAIN_MODES = frozenset({"L", "LA", "RGB", "RGBA", "I", "F"})


def read_picture(data: bytes) -> np.ndarray[Any, Any]:
    """A picture as an array: height x width of grey, or height x width x channels; its first frame, as it was stored.

    uint8; uint16 or int32 for deep greys, float32 where the file holds floats. Black and white becomes grey, a palette
    RGB or RGBA, any other colour space RGB. Orientation tags are not applied. Raises BrokenFile for what is no picture.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.mode.startswith("I;16"):
                return np.array(picture, dtype=np.uint16)
            return np.array(picture if picture.mode in PLAIN_MODES else picture.convert(_plain_mode(picture)))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise BrokenFile(
            f"It is no picture that can be read ({type(error).__name__}).", todo="Pass `read`, a function of the bytes."
        ) from None


def _plain_mode(picture: Image.Image) -> str:
    if picture.mode == "1":
        return "L"
    return "RGBA" if picture.mode == "P" and "transparency" in picture.info else "RGB"
