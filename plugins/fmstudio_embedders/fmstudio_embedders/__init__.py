"""Embedders whose models arrive inside packages, so nothing is downloaded."""
