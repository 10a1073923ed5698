"""``focus prepare``: cut face crops out of videos and photographs, with masks and originals.

Modules in reading order: ``planning`` (index rows to clips), ``frames`` (choice and reading of
images), ``tracks`` (faces of one person across frames), ``crops`` (the crops of a clip),
``running`` (all clips, in processes, resumable), ``command``.
"""

from focus.data.prepare.command import PrepareCommand, prepare_command

__all__ = ["PrepareCommand", "prepare_command"]
