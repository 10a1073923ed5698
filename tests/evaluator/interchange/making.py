"""Maps and predictions of four faces."""

from __future__ import annotations

import cv2
import numpy as np

from evaluator.interchange import (
    ExportCommand,
    ImportCommand,
    export_command,
    import_command,
)
from focus.data.sources import Source
from focus.mapstore import MapReader, MapWriter
from focus.runtime import Runtime

QUIET = Runtime(quiet=True)
KEYS = ("real/000.jpg", "a/000.png", "a/001.png", "b/000.png")
SIZES = ((20, 30), (20, 30), (40, 16), (16, 16))
SCORES = (0.1, 1 / 3, np.nan, 0.9)


def write_maps(path, keys, levels, scores=None, **more):
    with MapWriter(path, generator="mine", **more) as writer:
        writer.append(keys, levels, scores=scores)
    return path


def run_export(root, form, **more):
    out = root.parent / form
    command = ExportCommand(root / "maps.h5", out, form, runtime=QUIET, **more)
    export_command(command)
    return out


def run_import(root, predictions, out="back.h5", **more):
    source = Source(str(root / "index.csv"))
    path = root.parent / out
    import_command(ImportCommand(predictions or None, source, path, runtime=QUIET, **more))
    return MapReader(path)


def save(folder, name, value, size=(4, 4)):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, value)
    else:
        cv2.imwrite(str(path), np.full(size, value, np.uint8))
