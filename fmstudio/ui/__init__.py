"""The window: PySide6 only here. Every import of data or jobs code is made when it is first needed."""
