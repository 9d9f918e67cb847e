"""The command line."""

from experiments.cli.commands import app, main

__all__ = ["app", "main"]
