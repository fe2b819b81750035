"""Reads regular files that may change at any time; never blocks."""

import errno
import os
import stat
from pathlib import Path

SIZE_LIMIT = 16 * 1024 * 1024
"""Most bytes read from a file."""


def read(path: Path) -> bytes:
    """Return the content of a regular file. Raises OSError, also for pipes, which may never end."""
    with os.fdopen(_open(path), "rb") as file:
        content = file.read(SIZE_LIMIT + 1)
    if len(content) > SIZE_LIMIT:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def check(path: Path) -> None:
    """Raise OSError if a file is not a regular file, for which a library might wait forever."""
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
