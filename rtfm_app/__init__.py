"""RTFM: a desktop program that generates a world while you walk through it."""

__version__ = "0.1.0"
