"""Importers for the common file formats. Each module reads one of them."""
