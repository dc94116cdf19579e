"""Paths, settings and small helpers that every layer shares."""
