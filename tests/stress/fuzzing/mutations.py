"""Random damage to files, from a seed: to bytes of any format, to text, to JSON values."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

SIZES = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF)
TOKENS = (
    b'"',
    b"'",
    b",",
    b"\n",
    b"\r",
    b"\0",
    b"\x1b[31m\x1b]0;x\x07",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc2\x9b31m",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
    b"9" * 5000,
    b"1e999",
    b"-1",
    b"NaN",
    b"../../etc/passwd",
    b"\\ud800",
    b"[" * 20000,
    b"x" * 200_000,
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    10**30,
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "none",
    "\0",
    "\x1b[31m\x1b]0;x\x07",
    "\ud800",
    "a\nb\u2028c\u202ed",
    "../../x",
    "x" * 100_000,
    [],
    {},
    [[]],
    [1, "a", None],
    {"a": {"b": []}},
    {"": None},
)


def damage(rng: Random, data: bytes, other: bytes, text: bool = False) -> bytes:
    """Return the bytes of a file with one to four changes.

    Args:
        rng: random generator.
        data: an intact file.
        other: another file, from which spans are taken.
        text: the format is text, which is also damaged by tokens.
    """
    changes = [*_BYTES, *(3 * _TEXT if text else ())]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(changes)(rng, data, other)
    return data


def damage_json(rng: Random, data: bytes) -> bytes:
    """Return JSON with one to three values, or keys, replaced by others."""
    found = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        found = _replace(rng, found)
    return json.dumps(found, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")


def mend_png(data: bytes) -> bytes:
    """Correct the checksums of a PNG's chunks, so that damage reaches the decoder."""
    mended, at = bytearray(data), 8
    while at + 12 <= len(mended):
        (length,) = struct.unpack_from(">I", mended, at)
        end = at + 8 + length
        if end + 4 > len(mended):
            break
        struct.pack_into(">I", mended, end, zlib.crc32(mended[at + 4 : end]))
        at = end + 4
    return bytes(mended)


def mend_tar(data: bytes) -> bytes:
    """Correct the checksums of a tar's headers, wherever one starts."""
    mended = bytearray(data)
    for at in range(0, len(mended) - 511, 512):
        if mended[at + 257 : at + 262] == b"ustar":
            mended[at + 148 : at + 156] = b" " * 8
            mended[at + 148 : at + 156] = b"%06o\0 " % sum(mended[at : at + 512])
    return bytes(mended)


def _span(rng: Random, data: bytes, longest: int = 64) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(start + rng.randint(1, longest), len(data))


def _flip(rng: Random, data: bytes, _: bytes) -> bytes:
    changed = bytearray(data)
    for _number in range(rng.choice((1, 1, 4, 32)) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _randomise(rng: Random, data: bytes, _: bytes) -> bytes:
    changed = bytearray(data)
    for _number in range(rng.choice((1, 4, 16)) if data else 0):
        changed[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(changed)


def _fill(rng: Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + rng.choice((b"\0", b"\xff")) * (end - start) + data[end:]


def _truncate(rng: Random, data: bytes, _: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _insert(rng: Random, data: bytes, _: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randint(1, 32)) + data[at:]


def _remove(rng: Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def _duplicate(rng: Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(rng, data, 1024)
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[start:end] * rng.choice((1, 1, 2, 50)) + data[at:]


def _copy(rng: Random, data: bytes, other: bytes) -> bytes:
    """Copy a span over another place, so that references point to unexpected content."""
    source = rng.choice((data, other))
    start, end = _span(rng, source)
    at = rng.randrange(len(data) + 1)
    return data[:at] + source[start:end] + data[at + end - start :]


def _splice(rng: Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _resize(rng: Random, data: bytes, _: bytes) -> bytes:
    """Overwrite a possible four-byte field, more often early in the file than late."""
    if len(data) < 4:
        return data
    reach = rng.choice((64, 512, len(data)))
    at = rng.randrange(min(reach, len(data) - 3))
    field = struct.pack(
        rng.choice("<>") + "I", rng.choice((*SIZES, len(data), rng.getrandbits(16)))
    )
    return data[:at] + field + data[at + 4 :]


def _token(rng: Random, data: bytes, _: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(TOKENS) + data[at:]


def _field(rng: Random, data: bytes, _: bytes) -> bytes:
    """Replace or remove the text between two separators."""
    places = [at for at, byte in enumerate(data) if byte in b',\n":[]{} ']
    if len(places) < 2:
        return data
    at = rng.randrange(len(places) - 1)
    with_ = rng.choice((b"", *TOKENS))
    return data[: places[at] + rng.choice((0, 1))] + with_ + data[places[at + 1] :]


_Change = Callable[[Random, bytes, bytes], bytes]
_BYTES: tuple[_Change, ...] = (
    _flip,
    _flip,
    _randomise,
    _fill,
    _truncate,
    _insert,
    _remove,
    _duplicate,
    _copy,
    _splice,
    _resize,
    _resize,
)
_TEXT: tuple[_Change, ...] = (_token, _field)


def _replace(rng: Random, value: Any) -> Any:
    """Descend at random and replace a value or a key, or remove it."""
    if not isinstance(value, (dict, list)) or not value or rng.random() < 0.04:
        return rng.choice(VALUES)
    places = list(value) if isinstance(value, dict) else list(range(len(value)))
    inner = [place for place in places if isinstance(value[place], (dict, list))]
    place = rng.choice(inner if inner and rng.random() < 0.6 else places)
    fate = rng.random()
    if fate < 0.1:
        return {k: v for k, v in value.items() if k != place} if isinstance(value, dict) else []
    if fate < 0.15 and isinstance(value, dict):
        strange = rng.choice([each for each in VALUES if isinstance(each, str)])
        return {**value, strange: value[place]}
    below = _replace(rng, value[place])
    if isinstance(value, dict):
        return {**value, place: below}
    return [*value[:place], below, *value[place + 1 :]]
