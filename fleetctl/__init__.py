"""Terminal-first operations console for fleets of AI computing power."""

__version__ = "0.1.0"
