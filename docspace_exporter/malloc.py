"""Keeps glibc's malloc to one arena: with one per thread, each keeps memory that polls have freed."""

import contextlib

_M_ARENA_MAX = -8
"""glibc 2.36: malloc.h."""


def share_arena() -> None:
    """Let all threads use the main arena; call it before any is started. It does nothing where it cannot."""
    # Python may lack ctypes, or the system forbid the executable memory that old versions of libffi need.
    with contextlib.suppress(ImportError, MemoryError, OSError, AttributeError):
        import ctypes  # noqa: PLC0415

        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
