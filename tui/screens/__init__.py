"""Whole screens: they send requests to the backend and hand replies to their widgets."""
