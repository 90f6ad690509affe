"""Logs tide gauges, predicts the next tides and warns of storm surges."""

__version__ = "2.3.1"
