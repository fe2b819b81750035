"""Entry point: handles signals before it imports the rest, which takes a moment.

`docspace-exporter`, `python -m docspace_exporter` and `python exporter.py` all run this.
"""

import os
import signal
import sys
from importlib.util import find_spec


def main() -> int:
    """Run the program; returns its exit code."""
    if not _is_posix():
        sys.stderr.write("docspace-exporter: unsupported system: run it on Linux or another POSIX system\n")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    # It stays pending, in every later thread, until the server handles it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    if sys.stderr is None:  # closed by the parent process
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (for as long as the program runs)
    from docspace_exporter import cli  # noqa: PLC0415

    return cli.main()


def _is_posix() -> bool:
    return hasattr(signal, "SIGHUP") and hasattr(signal, "pthread_sigmask") and bool(find_spec("resource"))


if __name__ == "__main__":
    sys.exit(main())
