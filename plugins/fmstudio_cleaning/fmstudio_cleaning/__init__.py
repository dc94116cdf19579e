"""Operators that clean text: normalise, deduplicate, filter by length and language."""
