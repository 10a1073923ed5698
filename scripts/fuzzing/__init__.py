"""What scripts/fuzz.py damages, how, and who reads it."""
