"""PNG pictures with the same bytes for the same pixels, and digests of pixels. NumPy and zlib only.

Blender and imaging libraries stamp times or their own version into files; what is written here holds nothing but pixels.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np

from ...engine.errors import InputError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 3: 2, 4: 6}
"""PNG's number of grey, RGB and RGBA, by channels."""
MAX_SIDE_PX = 32_768
LEVEL = 4
"""zlib's: a third of the default's time, files a few percent larger."""
_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)
_SAMPLED_LINES = 8


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 or uint16 pixels [H,W], [H,W,3] (RGB) or [H,W,4] (RGBA, not multiplied). Raises ValueError, OSError."""
    Path(path).write_bytes(png_bytes(pixels))


def png_bytes(pixels: np.ndarray) -> bytes:
    """The file that `write_png` writes."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    if (
        pixels.dtype.kind != "u"
        or pixels.dtype.itemsize > 2
        or pixels.ndim not in (2, 3)
        or channels not in COLOUR_TYPES
    ):
        raise ValueError(f"{pixels.dtype} pixels of shape {pixels.shape} are no picture of 8 or 16 bits")
    height, width = pixels.shape[:2]
    if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX):
        raise ValueError(f"a picture of {width}×{height} pixels cannot be written")
    bits = 8 * pixels.dtype.itemsize
    header = struct.pack(">IIBBBBB", width, height, bits, COLOUR_TYPES[channels], 0, 0, 0)
    lines = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    packed = zlib.compress(_filtered(lines, channels * pixels.dtype.itemsize), LEVEL)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def read_png(path: Path) -> np.ndarray:
    """Pixels of a grey, RGB or RGBA picture of 8 or 16 bits, not interlaced: [H,W] or [H,W,C] in its own depth.

    Checks every sum in the file. Raises InputError naming the file.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): give the path of a PNG picture") from error
    try:
        return _decoded(content)
    except (ValueError, KeyError, struct.error, zlib.error, IndexError, MemoryError) as error:
        raise InputError(f"{path} is damaged, or no plain PNG picture: make it again") from error


def pixel_digest(pixels: np.ndarray) -> str:
    """SHA-256 of shape, type and values, whatever the memory layout and byte order; -0 and 0 differ."""
    little = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{little.dtype.str.replace('|', '<')} {list(pixels.shape)} ".encode())
    digest.update(little.data if little.size else b"")
    return digest.hexdigest()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _filtered(lines: np.ndarray, step: int) -> bytes:
    """Lines [H,B] prepared for zlib, each with its filter's number before it; `step` bytes are one pixel.

    One filter for the whole picture, the one that leaves the least (the specification's own rule of thumb, 12.8) of every
    eighth line: pictures of a hand on black are of one kind all over.
    """
    sample = lines[1::_SAMPLED_LINES] if len(lines) > 1 else lines
    over = lines[: len(lines) - 1 : _SAMPLED_LINES] if len(lines) > 1 else np.zeros_like(lines)
    least = min((_NONE, _SUB, _UP), key=lambda kind: (_left_over(_difference(sample, over, step, kind)), kind))
    above = np.concatenate([np.zeros_like(lines[:1]), lines[:-1]]) if least == _UP else lines
    numbered = np.empty((len(lines), lines.shape[1] + 1), np.uint8)
    numbered[:, 0], numbered[:, 1:] = least, _difference(lines, above, step, least)
    return numbered.tobytes()


def _difference(lines: np.ndarray, above: np.ndarray, step: int, kind: int) -> np.ndarray:
    if kind == _UP:
        return lines - above
    if kind == _NONE:
        return lines
    changed = lines.copy()
    changed[:, step:] -= lines[:, :-step]
    return changed


def _left_over(lines: np.ndarray) -> int:
    """Sum of the bytes' sizes, taken as signed."""
    return int(np.minimum(lines, -lines).sum(dtype=np.int64))


def _decoded(content: bytes) -> np.ndarray:
    chunks = _chunks(content)
    width, height, bits, colour, packing, filtering, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    channels = {number: count for count, number in COLOUR_TYPES.items()}[colour]
    if bits not in (8, 16) or packing or filtering or interlaced:
        raise ValueError
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise ValueError
    step = channels * bits // 8
    size = height * (width * step + 1)
    unpacker = zlib.decompressobj()
    raw = unpacker.decompress(chunks[b"IDAT"], size + 1)
    if len(raw) != size or not unpacker.eof:
        raise ValueError
    numbered = np.frombuffer(raw, np.uint8).reshape(height, -1)
    lines = _unfiltered(numbered[:, 1:], numbered[:, 0], step)
    pixels = lines.view(">u2").astype(np.uint16) if bits == 16 else lines
    return pixels.reshape((height, width) if channels == 1 else (height, width, channels))


def _chunks(content: bytes) -> dict[bytes, bytes]:
    """Bodies by kind; those of one kind joined."""
    if content[:8] != SIGNATURE:
        raise ValueError
    found: dict[bytes, list[bytes]] = {}
    position = 8
    while b"IEND" not in found:
        (size,) = struct.unpack_from(">I", content, position)
        kind, body = content[position + 4 : position + 8], content[position + 8 : position + 8 + size]
        if content[position + 8 + size : position + 12 + size] != struct.pack(">I", zlib.crc32(kind + body)):
            raise ValueError
        found.setdefault(kind, []).append(body)
        position += 12 + size
    return {kind: b"".join(bodies) for kind, bodies in found.items()}


def _unfiltered(lines: np.ndarray, kinds: np.ndarray, step: int) -> np.ndarray:
    height, width = lines.shape
    result = np.empty((height, width), np.uint8)
    above = np.zeros(width, np.uint8)
    for row in range(height):
        kind, line = int(kinds[row]), lines[row]
        if kind == _SUB:
            line = np.cumsum(line.reshape(-1, step), axis=0, dtype=np.uint8).reshape(-1)
        elif kind == _UP:
            line = line + above
        elif kind in (_AVERAGE, _PAETH):
            line = _from_left_and_above(line, above, step, kind)
        elif kind != _NONE:
            raise ValueError
        result[row] = above = line
    return result


def _from_left_and_above(line: np.ndarray, above: np.ndarray, step: int, kind: int) -> np.ndarray:
    """The two filters that others use, and this writer does not."""
    values = [0] * step + line.tolist()
    over = [0] * step + above.tolist()
    for place in range(step, len(values)):
        a, b, c = values[place - step], over[place], over[place - step]
        if kind == _AVERAGE:
            guess = (a + b) // 2
        else:
            near = a + b - c
            guess = min((a, b, c), key=lambda value: abs(near - value))
        values[place] = (values[place] + guess) & 255
    return np.array(values[step:], np.uint8)
