"""Faces from disk: the index, the inputs it comes from, and the data sets made of it."""
