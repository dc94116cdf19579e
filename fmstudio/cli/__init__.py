"""The command line: the same facade as the window, stable enough to script."""
