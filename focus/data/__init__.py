"""Faces from disk: the index, its sources, and data sets."""
