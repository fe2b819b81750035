"""Keeps glibc's malloc to one arena: with one per thread, each keeps memory that polls have freed."""

import contextlib
import ctypes

_M_ARENA_MAX = -8
"""glibc 2.36: malloc.h."""


def share_arena() -> None:
    """Let all threads use the main arena; call it before any is started. It does nothing without glibc."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
