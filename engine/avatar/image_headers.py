"""Whether an image file is whole, from its structure alone: no imaging library is needed, so Blender's Python can ask."""

from __future__ import annotations

import struct
from pathlib import Path

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
EXR_SIGNATURE = b"\x76\x2f\x31\x01"
MAX_SIDE_PX = 32_768
_EXR_NOT_SCANLINE = 0x200 | 0x800 | 0x1000
"""Version flags of tiled, deep and multi-part files."""
_LINES_PER_BLOCK = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}
"""By compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB."""
_MAX_HEADER_BYTES = 1 << 20


def is_whole_image(path: Path) -> bool:
    """True for a PNG that starts and ends as it must, and for a scan-line EXR whose last block lies inside the file."""
    return _is_whole_exr(path) if path.suffix.lower() == ".exr" else _is_whole_png(path)


def _is_whole_png(path: Path) -> bool:
    with open(path, "rb") as stream:
        head = stream.read(33)
        stream.seek(max(0, path.stat().st_size - 12))
        tail = stream.read(12)
    if head[:8] != PNG_SIGNATURE or head[12:16] != b"IHDR" or tail[4:8] != b"IEND":
        return False
    return all(1 <= side <= MAX_SIDE_PX for side in struct.unpack(">II", head[16:24]))


def _is_whole_exr(path: Path) -> bool:
    size = path.stat().st_size
    with open(path, "rb") as stream:
        content = stream.read(_MAX_HEADER_BYTES)
        try:
            attributes, table = _exr_header(content)
            left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
            lines = _LINES_PER_BLOCK[attributes["compression"][0]]
            if not (0 <= right - left < MAX_SIDE_PX and 0 <= bottom - top < MAX_SIDE_PX):
                return False
            blocks = -(-(bottom - top + 1) // lines)
            stream.seek(table)
            offsets = struct.unpack(f"<{blocks}Q", stream.read(8 * blocks))
            if min(offsets) < table + 8 * blocks or max(offsets) + 8 > size:
                return False
            stream.seek(max(offsets))
            (length,) = struct.unpack("<4xi", stream.read(8))
        except (KeyError, IndexError, ValueError, struct.error):
            return False
    return length >= 0 and max(offsets) + 8 + length <= size


def _exr_header(content: bytes) -> tuple[dict[str, bytes], int]:
    """(attributes by name, where the header ends). Raises ValueError for anything but one scan-line part."""
    if content[:4] != EXR_SIGNATURE or struct.unpack("<I", content[4:8])[0] & _EXR_NOT_SCANLINE:
        raise ValueError("not a scan-line OpenEXR file")
    attributes, position = {}, 8
    while content[position]:
        name_end = content.index(0, position)
        kind_end = content.index(0, name_end + 1)
        (length,) = struct.unpack_from("<i", content, kind_end + 1)
        start = kind_end + 5
        if length < 0:
            raise ValueError("an attribute of negative size")
        attributes[content[position:name_end].decode("latin1")] = content[start : start + length]
        position = start + length
    return attributes, position + 1
