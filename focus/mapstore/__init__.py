"""The map file: maps of many faces in one HDF5 file, written in crash-safe parts.

Only ``hdf5`` imports h5py; nothing here imports torch, so that ``focus info`` starts at once.
"""

from focus.mapstore.merging import MergeCommand, merge, merge_command
from focus.mapstore.reader import MapReader
from focus.mapstore.rows import Rows
from focus.mapstore.summary import InfoCommand, info, info_command
from focus.mapstore.writer import MapWriter

__all__ = [
    "InfoCommand",
    "MapReader",
    "MapWriter",
    "MergeCommand",
    "Rows",
    "info",
    "info_command",
    "merge",
    "merge_command",
]
