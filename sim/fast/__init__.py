"""The fast path, where everything about a query is decided before the run."""
