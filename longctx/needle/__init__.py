"""A model that is built, not trained, and reads one fact out of any length of text: what proves an engine."""
