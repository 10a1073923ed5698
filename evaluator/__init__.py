"""Judges maps and detectors: the metric set, its intervals, and the protocols that use them."""
