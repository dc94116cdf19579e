"""FM Studio: manage data; align, deploy, optimise and monitor foundation models, in one window."""

__version__ = "0.1.0"
