"""Trained detectors in folders and on the Hugging Face Hub: the mixin, the card, ``focus push``."""
