"""Released models: one safetensors file each, found by name.

``contents`` (the record in a file), ``format`` (read and write a file), ``features`` (distance to
the training images), ``catalogue`` (names, files, downloads), ``command`` (``focus weights``).
"""
