"""The files that tests/stress/fuzz.py damages, the kinds of damage, and the readers."""
