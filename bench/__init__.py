"""How fast the exporter is compared with others, and what it uses: `python -m bench`."""
