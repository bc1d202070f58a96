"""One picture file -> its pixels. Its size is known, and bounded, before any memory is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import DataError

MOST_PIXELS = 50_000_000
"""A picture that unpacks to more is refused before memory is taken."""


SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".webp", ".tif", ".tiff")


def pixels(path: Path, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """The picture in a file as u8 (height, width, channels), resized where it has another size."""
    from PIL import Image, ImageOps

    with opened(path) as found:
        try:
            if found.mode == "F":
                raise ValueError("its pixels are real numbers of no known range")
            picture: Any = ImageOps.exif_transpose(found)
            if picture.mode.startswith("I"):
                values = np.asarray(picture).astype(np.int64)
                # of 16 bits, but for those that say 32 and hold 8
                narrow = picture.mode == "I" and found.format != "PNG" and values.max() < 256
                picture = Image.fromarray((values // (1 if narrow else 257)).astype(np.uint8))
            if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                white = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(white, picture)
            picture = picture.convert("L" if channels == 1 else "RGB")
            if picture.size != size[::-1]:
                picture = picture.resize(size[::-1], Image.Resampling.BILINEAR)
        except (OSError, ValueError, SyntaxError) as error:
            raise _unreadable(path, error) from error
        return np.asarray(picture, np.uint8).reshape(*size, channels)


def opened(path: Path) -> Any:
    """The picture in a file, its head read and its pixels not yet."""
    from PIL import Image

    try:
        picture = Image.open(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error
    w, h = picture.size
    if w * h > MOST_PIXELS:
        picture.close()
        raise DataError(
            f"{path} has {w} x {h} pixels", f"at most {MOST_PIXELS:,}", "shrink or drop it"
        )
    return picture


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"cannot read {path} ({str(error)[:100]})",
        "a whole picture of 8 or 16 bits",
        "replace or drop it",
    )
