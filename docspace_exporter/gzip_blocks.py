"""Gzip of blocks that are compressed in advance: what stays the same between polls is deflated once."""

import functools
import struct
import zlib
from collections.abc import Iterable

import msgspec

_PIECE = 32 * 1024
"""Bytes that are deflated together: each call of zlib releases the interpreter lock to a running poll."""

_deflater = functools.partial(zlib.compressobj, 1, zlib.DEFLATED, -zlib.MAX_WBITS)
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"


class Block(msgspec.Struct, frozen=True):
    """A part of a text, and the same deflated where that is worth it."""

    text: bytes
    deflated: bytes | None = None


def deflated(text: bytes) -> Block:
    """Return a block that is deflated in advance: it stands alone and ends on a byte, between any others."""
    deflater = _deflater()
    return Block(text, deflater.compress(text) + deflater.flush(zlib.Z_FULL_FLUSH))


def gzip(blocks: Iterable[Block]) -> bytes:
    """Return the blocks as one gzip member (RFC 1952): of several, some clients read only the first."""
    checksum, size, body, deflater = 0, 0, [_HEADER], _deflater()
    pending, unflushed = bytearray(), False
    for block in blocks:
        checksum = zlib.crc32(block.text, checksum)
        size += len(block.text)
        if block.deflated is None:
            pending += block.text
            if len(pending) >= _PIECE:
                body.append(deflater.compress(pending))
                pending.clear()
                unflushed = True
            continue
        # A flush takes longer than most blocks, so there is none between two of these.
        if pending or unflushed:
            body += [deflater.compress(pending), deflater.flush(zlib.Z_FULL_FLUSH)]
            pending.clear()
            unflushed = False
        body.append(block.deflated)
    body += [deflater.compress(pending), deflater.flush(), struct.pack("<LL", checksum, size % 2**32)]
    return b"".join(body)
