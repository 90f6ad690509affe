"""Batch reports: what a manifest asks of a corpus, answered item by item, kept in a journal, written as a report."""
