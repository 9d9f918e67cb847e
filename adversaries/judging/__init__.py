"""Judging: what an attack achieved, from its notes and from the truth in the record of the run. No attack sees it."""
