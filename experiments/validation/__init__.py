"""Validation: simulated systems beside what theory says of them."""
