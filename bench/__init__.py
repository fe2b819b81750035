"""How fast the exporter is, beside its peers, and what it takes: `python -m bench`."""
