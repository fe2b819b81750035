"""Gzip of blocks that are compressed in advance: what stays the same between polls is deflated once."""

import functools
import struct
import zlib
from collections.abc import Iterable

import msgspec

WORTH_DEFLATING = 32 * 1024
"""Bytes from which a block is deflated in advance, not at each scrape."""

_deflater = functools.partial(zlib.compressobj, 1, zlib.DEFLATED, -zlib.MAX_WBITS)
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"


class Block(msgspec.Struct, frozen=True):
    """A part of a text, and the same deflated where that is worth it."""

    text: bytes
    deflated: bytes | None = None


def lasting_block(text: bytes) -> Block:
    """Return a block that is used for many responses."""
    return Block(text, _deflate(text) if len(text) >= WORTH_DEFLATING else None)


def _deflate(text: bytes) -> bytes:
    """Return deflate blocks that stand alone and end on a byte, so that they can be concatenated."""
    deflater = _deflater()
    return deflater.compress(text) + deflater.flush(zlib.Z_FULL_FLUSH)


def gzip(blocks: Iterable[Block]) -> bytes:
    """Return the blocks as one gzip member (RFC 1952): of several, some clients read only the first."""
    checksum, size, body, deflater = 0, 0, [_HEADER], _deflater()
    # Each call of zlib releases the interpreter lock to a running poll, so there are few.
    pending = bytearray()
    for block in blocks:
        checksum = zlib.crc32(block.text, checksum)
        size += len(block.text)
        if block.deflated is None:
            pending += block.text
        if block.deflated is not None or len(pending) >= WORTH_DEFLATING:
            body.append(deflater.compress(pending))
            pending.clear()
        if block.deflated is not None:
            body += [deflater.flush(zlib.Z_FULL_FLUSH), block.deflated]
    body += [deflater.compress(pending), deflater.flush(), struct.pack("<LL", checksum, size % 2**32)]
    return b"".join(body)
