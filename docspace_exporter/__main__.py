"""Where the program begins: signals are heeded before the rest is imported, which takes a while.

`docspace-exporter`, `python -m docspace_exporter` and `python exporter.py` are this.
"""

import os
import signal
import sys


def main() -> int:
    """Run the program; returns its exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    # It waits, in every thread to come, until the server takes it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    if sys.stderr is None:  # closed by whoever started the program
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (for as long as the program runs)
    from docspace_exporter import cli  # noqa: PLC0415

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
