"""What a running process uses, according to Linux."""

from pathlib import Path


def file_descriptors(pid: int) -> int:
    """Return how many files and sockets a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return int(_status(pid, "Threads"))


def resident_megabytes(pid: int) -> float:
    """Return the memory of a process that is in RAM now."""
    return _megabytes(pid, "VmRSS")


def peak_megabytes(pid: int) -> float:
    """Return the most memory that a process has had in RAM."""
    return _megabytes(pid, "VmHWM")


def _megabytes(pid: int, field: str) -> float:
    return int(_status(pid, field).removesuffix(" kB")) / 1024


def _status(pid: int, field: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{field}:")).partition(":")[2].strip()
