"""The detector SDK: what learns under maps, ours and strangers' through the same door."""
