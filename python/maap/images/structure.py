"""What an image file's bytes say before they are decoded: whether it is whole, how it is turned,
and what it is when it is no image.

The formats are known by their content, never by the file's name. JPEG: ITU T.81, annex B. PNG: the
W3C's specification. EXIF: CIPA DC-008. TIFF: revision 6.0.
"""

import re
import struct
import zlib
from typing import Optional

from maap.errors import MaapError

_JPEG = b"\xff\xd8"
_PNG = b"\x89PNG\r\n\x1a\n"
_END_OF_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_TIFF_ORDER = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_BYTES = {1: 1, 3: 2, 4: 4}  # bytes of a value by its type: BYTE, SHORT, LONG
_ORIENTATION = 0x0112
_SAMPLE_FORMAT, _FLOATS = 0x0153, 3
# Tags with the places and with the lengths of the pixels, in strips and in tiles.
_TIFF_PIXELS = ((0x0111, 0x0117), (0x0144, 0x0145))

_OTHERS = (
    (re.compile(rb"GIF8[79]a"), "is a GIF, which not every OpenCV reads; save it as JPEG or PNG"),
    (re.compile(rb"....ftyp(heic|heix|hevc|mif1|msf1)", re.S), "is a HEIC; save it as JPEG"),
    (re.compile(rb"....ftyp(avif|avis)", re.S), "is an AVIF; save it as JPEG or PNG"),
    (re.compile(rb"....ftyp", re.S), "is a film, not an image"),
    (re.compile(rb"\s*<(!doctype html|html|\?xml|svg)", re.I), "is a web page or SVG, no pixels"),
    (re.compile(rb"%PDF-"), "is a PDF, not an image"),
    (re.compile(rb"PK\x03\x04"), "is a zip archive, not an image"),
    (re.compile(rb"version https://git-lfs"), "is a pointer of Git LFS (run git lfs pull)"),
    (re.compile(rb"\0\x05\x16\x07"), "is metadata of macOS, not an image"),
)


def check_complete(data: bytes, name: str) -> None:
    """Raise MaapError naming ``name`` when a JPEG, PNG, WebP, BMP or TIFF file ends before its
    content does.

    Other formats pass. Bytes after the end (some cameras append them) are allowed.
    """
    if data[:2] == _JPEG:
        whole = _jpeg_is_whole(data)
    elif data[:8] == _PNG:
        whole = _png_is_whole(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        whole = len(data) >= 8 + int.from_bytes(data[4:8], "little")
    elif data[:2] == b"BM":
        whole = _bmp_is_whole(data)
    elif data[:4] in _TIFF_ORDER:
        whole = _tiff_is_whole(data)
    else:
        return
    if not whole:
        raise MaapError(
            f"{name} is truncated or damaged ({len(data)} bytes, no end-of-image marker where its "
            "structure needs one): fetch the file again or remove it"
        )


def what_else(data: bytes) -> str:
    """What bytes are that OpenCV does not decode; "is ..."."""
    if holds_floats(data):
        return "holds floats, whose range of brightness is not known; save it with 8 bits"
    for pattern, what in _OTHERS:
        if pattern.match(data):
            return what
    return "is not an image that OpenCV can decode"


def holds_floats(data: bytes) -> bool:
    """Whether a TIFF file has floats as pixels, which OpenCV makes no 8-bit colours of."""
    return data[:4] in _TIFF_ORDER and _FLOATS in _tiff_tags(data).get(_SAMPLE_FORMAT, [])


def orientation(data: bytes) -> int:
    """The EXIF orientation of a JPEG file: 1 as it is or unknown, 2 to 8 turned or mirrored."""
    at = 2
    while data[:2] == _JPEG and at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            tags = _tiff_tags(data[at + 10 : at + 2 + length])
            value = (tags.get(_ORIENTATION) or [1])[0]
            return value if 1 <= value <= 8 else 1
        at += 2 + length
    return 1


def _jpeg_is_whole(data: bytes) -> bool:
    """Walk the segments: markers with lengths, scans up to the next marker."""
    at, seen_scan = 2, False
    while at + 1 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0xD9:
            return seen_scan
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
        else:
            if at + 4 > len(data):
                return False
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if marker == 0xDA:
                seen_scan = True
                found = _END_OF_SCAN.search(data, at)
                if found is None:
                    return False
                at = found.start()
    return False


def _png_is_whole(data: bytes) -> bool:
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(data) or zlib.crc32(data[at + 4 : end]) != int.from_bytes(
            data[end : end + 4], "big"
        ):
            return False
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False


def _bmp_is_whole(data: bytes) -> bool:
    """The rows of an uncompressed bitmap; of a compressed one, its size where the header has it."""
    if len(data) < 34:
        return False
    start, header, width, height = struct.unpack_from("<IIii", data, 10)
    if header < 40:  # the oldest kind, with two 16-bit sizes
        return len(data) > start
    bits, compression, size = struct.unpack_from("<HII", data, 28)
    if compression in (0, 3):
        size = (abs(width) * bits + 31) // 32 * 4 * abs(height)
    return len(data) >= start + size


def _tiff_is_whole(data: bytes) -> bool:
    """Every strip or tile of the first page lies inside the file."""
    tags = _tiff_tags(data)
    for places, lengths in _TIFF_PIXELS:
        if places in tags:
            sizes = tags.get(lengths, [1] * len(tags[places]))
            ends = [at + size for at, size in zip(tags[places], sizes)]
            return bool(ends) and max(ends) <= len(data)
    return False


def _tiff_tags(data: bytes) -> dict[int, list[int]]:
    """The whole-number tags of the first directory of a TIFF structure; {} of a damaged one."""
    order: Optional[str] = _TIFF_ORDER.get(data[:4])
    tags: dict[int, list[int]] = {}
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, at)
        for entry in range(at + 2, at + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(f"{order}HHI", data, entry)
            width = _TIFF_BYTES.get(kind)
            if width is None or count > len(data):
                continue
            place = entry + 8
            if width * count > 4:
                (place,) = struct.unpack_from(f"{order}I", data, place)
            letter = {1: "B", 2: "H", 4: "I"}[width]
            tags[tag] = list(struct.unpack_from(f"{order}{count}{letter}", data, place))
    except struct.error:
        return tags
    return tags
