"""OpenEXR pictures of one scan-line part, read by channel and written with the same bytes every time. NumPy only.

Reads what Blender's multilayer output holds (uncompressed, half or float) and what `write_rgb` writes (zip).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...engine.errors import InputError

SIGNATURE = b"\x76\x2f\x31\x01"
NOT_SCANLINE = 0x200 | 0x800 | 0x1000
"""Version flags of tiled, deep and multi-part files."""
LINES_PER_BLOCK = {0: 1, 2: 1, 3: 16}
"""By compression: none, a zip per line, a zip per 16 lines."""
ZIP = 3
TYPES = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}
MAX_SIDE_PX = 32_768
DAMAGED = "is damaged, or no plain OpenEXR picture: make it again"


class Header(NamedTuple):
    channels: tuple[tuple[str, np.dtype], ...]
    """Names and types, in the order that lines hold them."""
    compression: int
    width: int
    height: int
    top: int
    """The first line's number."""
    end: int
    """Where the table of blocks begins."""


def read_channels(path: Path) -> dict[str, np.ndarray]:
    """{channel name: [H,W]} in the file's own types, first row on top. Raises InputError naming the file."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): give the path of an OpenEXR picture") from error
    try:
        header = _read_header(content)
        lines = _lines(content, header)
    except (ValueError, KeyError, IndexError, struct.error, zlib.error, MemoryError) as error:
        raise InputError(f"{path} {DAMAGED}") from error
    pictures, start = {}, 0
    for name, kind in header.channels:
        stop = start + kind.itemsize * header.width
        pictures[name] = np.ascontiguousarray(lines[:, start:stop]).view(kind)
        start = stop
    return pictures


def read_rgb(path: Path) -> np.ndarray:
    """[H,W,3] of a picture with the channels R, G and B. Raises InputError."""
    channels = read_channels(path)
    if not all(name in channels for name in "RGB"):
        raise InputError(f"{path} has no channels R, G and B: give a colour picture")
    return np.stack([channels[name] for name in "RGB"], axis=-1)


def write_rgb(path: Path, pixels: np.ndarray, half: bool = True) -> None:
    """Write [H,W,3] linear colour, zipped; no date in it, so that equal pixels give equal bytes.

    half: 16-bit floats, whose largest number is 65504; larger ones are cut there. Raises ValueError for another shape.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(f"a colour picture is [H,W,3], not {pixels.shape}")
    kind = TYPES[1 if half else 2]
    values = np.clip(pixels, -65504, 65504) if half else pixels
    # lines hold their channels one after the other, in alphabetical order
    lines = np.ascontiguousarray(np.moveaxis(values[..., ::-1], 2, 1).astype(kind)).view(np.uint8)
    lines = lines.reshape(len(pixels), -1)
    header = _header_bytes({"B": kind, "G": kind, "R": kind}, pixels.shape[1], pixels.shape[0])
    step = LINES_PER_BLOCK[ZIP]
    blocks, position = [], len(header) + 8 * -(-len(lines) // step)
    offsets = []
    for first in range(0, len(lines), step):
        raw = lines[first : first + step].reshape(-1)
        packed = zlib.compress(_predicted(raw), 6)
        packed = packed if len(packed) < raw.size else raw.tobytes()
        blocks.append(struct.pack("<ii", first, len(packed)) + packed)
        offsets.append(position)
        position += len(blocks[-1])
    table = struct.pack(f"<{len(offsets)}Q", *offsets)
    Path(path).write_bytes(b"".join([header, table, *blocks]))


def _read_header(content: bytes) -> Header:
    if content[:4] != SIGNATURE or struct.unpack_from("<I", content, 4)[0] & NOT_SCANLINE:
        raise ValueError
    attributes, position = {}, 8
    while content[position]:
        name_end = content.index(0, position)
        kind_end = content.index(0, name_end + 1)
        (size,) = struct.unpack_from("<i", content, kind_end + 1)
        if size < 0:
            raise ValueError
        attributes[content[position:name_end].decode()] = content[kind_end + 5 : kind_end + 5 + size]
        position = kind_end + 5 + size
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    compression = attributes["compression"][0]
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX) or compression not in LINES_PER_BLOCK:
        raise ValueError
    return Header(_channel_list(attributes["channels"]), compression, width, height, top, position + 1)


def _channel_list(content: bytes) -> tuple[tuple[str, np.dtype], ...]:
    channels, position = [], 0
    while content[position]:
        end = content.index(0, position)
        kind, _, across, down = struct.unpack_from("<iiii", content, end + 1)
        if (across, down) != (1, 1):
            raise ValueError
        channels.append((content[position:end].decode(), TYPES[kind]))
        position = end + 17
    return tuple(channels)


def _lines(content: bytes, header: Header) -> np.ndarray:
    """[H, bytes a line] uint8."""
    line_bytes = header.width * sum(kind.itemsize for _, kind in header.channels)
    step = LINES_PER_BLOCK[header.compression]
    offsets = np.frombuffer(content, "<u8", -(-header.height // step), header.end).astype(np.int64)
    if not header.compression and (np.diff(offsets) == line_bytes + 8).all():
        # the usual case: all lines at one distance
        whole = np.frombuffer(content, np.uint8, header.height * (line_bytes + 8), int(offsets[0]))
        return whole.reshape(header.height, line_bytes + 8)[:, 8:]
    lines = np.empty((header.height, line_bytes), np.uint8)
    for offset in offsets:
        number, size = struct.unpack_from("<ii", content, int(offset))
        first = number - header.top
        rows = min(step, header.height - first)
        packed = content[offset + 8 : offset + 8 + size]
        if not 0 <= first < header.height or len(packed) != size:
            raise ValueError
        raw = np.frombuffer(packed, np.uint8)
        if header.compression and size < rows * line_bytes:
            raw = _unpredicted(_inflated(packed, rows * line_bytes))
        lines[first : first + rows] = raw.reshape(rows, line_bytes)
    return lines


def _inflated(packed: bytes, size: int) -> bytes:
    """At most a byte more than `size`: a small block may claim to hold gigabytes."""
    return zlib.decompressobj().decompress(packed, size + 1)


def _predicted(raw: np.ndarray) -> bytes:
    """OpenEXR's preparation for zip: even bytes, then odd ones, each less the one before, plus 128."""
    parted = np.concatenate([raw[0::2], raw[1::2]])
    parted[1:] = parted[1:] - parted[:-1] + np.uint8(128)
    return parted.tobytes()


def _unpredicted(packed: bytes) -> np.ndarray:
    parted = np.frombuffer(packed, np.uint8).copy()
    parted[1:] -= np.uint8(128)
    parted = np.cumsum(parted, dtype=np.uint8)
    raw = np.empty_like(parted)
    half = (len(parted) + 1) // 2
    raw[0::2], raw[1::2] = parted[:half], parted[half:]
    return raw


def _header_bytes(channels: Mapping[str, np.dtype], width: int, height: int) -> bytes:
    kinds = {kind: number for number, kind in TYPES.items()}
    listed = b"".join(
        name.encode() + b"\0" + struct.pack("<iiii", kinds[kind], 0, 1, 1) for name, kind in sorted(channels.items())
    )
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = (
        ("channels", "chlist", listed + b"\0"),
        ("compression", "compression", bytes([ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
    )
    fields = (
        name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
        for name, kind, value in attributes
    )
    return SIGNATURE + struct.pack("<I", 2) + b"".join(fields) + b"\0"
