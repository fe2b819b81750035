"""Prometheus exporter for ONLYOFFICE DocSpace API keys."""

__version__ = "0.1.0"
