"""The command line."""

from experiments.cli.app import app, main

__all__ = ["app", "main"]
