"""The published corpora, one file each: their folders on disk, read into a face index."""
