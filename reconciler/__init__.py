"""What decides and drives: Compose text in, plans and endpoints out. `engine.py` is the file to read first."""

__version__ = "0.1.0"
