"""What tests/stress/fuzz.py damages, how, and who reads it."""
