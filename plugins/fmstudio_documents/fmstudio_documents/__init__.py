"""Importers for documents, mail, source code and pictures. Each module reads one kind; a row has a `text` and its facts."""
