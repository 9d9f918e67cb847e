"""Defenses: what stands between the queries and the models."""

from policies.defenses.spec_noise import ExponentialMechanism, LaplaceNoise

__all__ = ["ExponentialMechanism", "LaplaceNoise"]
