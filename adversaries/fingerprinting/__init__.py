"""Fingerprinting: finding the models behind an interface by the specs it can meet, by time and by answers."""
