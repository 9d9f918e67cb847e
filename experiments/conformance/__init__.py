"""Conformance: whether a part keeps its contract, for ours and for anybody's own."""

from experiments.conformance.checks import check

__all__ = ["check"]
