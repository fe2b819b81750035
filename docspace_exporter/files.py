"""Reads files that somebody else may be changing, without ever waiting for one."""

import errno
import os
import stat
from pathlib import Path

SIZE_LIMIT = 16 * 1024 * 1024
"""Bytes of a file that are read at most."""


def read(path: Path) -> bytes:
    """Return what a regular file holds. Raises OSError; a pipe, which may never end, is one as well."""
    with os.fdopen(_open(path), "rb") as file:
        content = file.read(SIZE_LIMIT + 1)
    if len(content) > SIZE_LIMIT:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def check(path: Path) -> None:
    """Raise OSError where a file is no regular one, which a library would wait for."""
    os.close(_open(path))


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise OSError(errno.EINVAL, "its path is not valid") from None
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, "it is not a regular file")
