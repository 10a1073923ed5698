"""``focus prepare``: videos and photographs to face crops, with masks and originals to match.

Read in this order: ``planning`` (rows of an index to clips), ``frames`` (which images, and
reading them), ``tracks`` (which face is which), ``crops`` (a clip to its crops), ``running`` (all
clips, in processes, resumable), ``command``.
"""

from focus.data.prepare.command import PrepareCommand, prepare_command

__all__ = ["PrepareCommand", "prepare_command"]
