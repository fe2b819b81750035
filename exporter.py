"""The front door: `python exporter.py` is the same program as `docspace-exporter`."""

import sys

from docspace_exporter.cli import main

if __name__ == "__main__":
    sys.exit(main())
