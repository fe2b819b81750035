"""The front door: `python exporter.py` is the same program as `docspace-exporter`."""

import sys

from docspace_exporter.__main__ import main

if __name__ == "__main__":
    try:
        sys.exit(main())
    except ModuleNotFoundError as missing:
        sys.exit(
            f"docspace-exporter: Python has no module {missing.name}: run `make demo`, or install the package"
        )
