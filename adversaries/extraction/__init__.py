"""Extraction: collect a model's answers and train a clone on them."""
